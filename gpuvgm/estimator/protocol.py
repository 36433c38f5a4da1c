"""What scikit-learn asks of its estimators, without the import of it, which takes longer than all of gpuvgm's."""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import cache
from inspect import getattr_static, signature
from types import new_class
from typing import TYPE_CHECKING, Any, Self

from gpuvgm.errors import NamedParameters

_SHOWN = {"_repr_html_", "_repr_mimebundle_"}  # what notebooks ask for, which need not have imported scikit-learn
_LONGEST = 700  # letters of what `repr` gives, as in scikit-learn


class Estimator(NamedParameters):
    """An estimator that scikit-learn takes as one of its own, though it is no subclass of `BaseEstimator`.

    Parameters are those of the constructor. All else that scikit-learn looks for, such as tags, requests for metadata
    and the diagram of a notebook, is lent by `BaseEstimator` once scikit-learn is imported.
    """

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Names of the parameters, sorted; scikit-learn asks for them by this name."""
        return sorted(name for name in signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002  # as scikit-learn has it
        """Return the parameters.

        Parameters
        ----------
        deep : bool
            Add the parameters of parameters that are estimators themselves, as ``<parameter>__<its parameter>``.

        Returns
        -------
        dict of str to object
            Values by name.

        Examples
        --------
        >>> import gpuvgm
        >>> gpuvgm.TableTransformer(n_components=5).get_params()["n_components"]
        5
        """
        parameters: dict[str, Any] = {}
        for name in self._get_param_names():
            value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                parameters |= {f"{name}__{inner}": its for inner, its in value.get_params().items()}
            parameters[name] = value
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters.

        Parameters
        ----------
        **parameters
            Values by name; ``<parameter>__<its parameter>`` for a parameter that is an estimator itself.

        Returns
        -------
        Estimator
            The estimator itself.

        Raises
        ------
        ValueError
            For a parameter that there is not.

        Examples
        --------
        >>> import gpuvgm
        >>> gpuvgm.TableTransformer().set_params(n_components=5)
        TableTransformer(n_components=5)
        """
        names, inner = self._get_param_names(), defaultdict[str, dict[str, Any]](dict)
        for key, value in parameters.items():
            name, is_inner, inner_name = key.partition("__")
            if name not in names:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {names!r}.")
            if is_inner:
                inner[name][inner_name] = value
            else:
                setattr(self, name, value)
        for name, values in inner.items():
            getattr(self, name).set_params(**values)
        return self

    def _check_is_fitted(self) -> None:
        """Refuse what is not fitted, as scikit-learn does, which is imported for the error alone."""
        if not self.__sklearn_is_fitted__():
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit, or load a model")

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in signature(type(self).__init__).parameters.items()}
        values = {name: repr(getattr(self, name)) for name in self._get_param_names()}
        changed = [f"{name}={value}" for name, value in values.items() if value != repr(defaults[name])]
        text = f"{type(self).__name__}({', '.join(changed)})"
        half = _LONGEST // 2
        return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"

    if TYPE_CHECKING:

        def __sklearn_is_fitted__(self) -> bool:
            """Whether it is fitted; subclasses say so."""

    else:  # for type checkers any name would be an attribute

        def __getattr__(self, name: str) -> Any:
            """What the class lacks and scikit-learn's base class has; else the error of a missing attribute."""
            lent = None if hasattr(type(self), name) else _lent(type(self), name)
            if lent is None:
                return object.__getattribute__(self, name)  # raises; a property that failed says why once more
            # methods of the class see the class that has all of scikit-learn's: some call others of them
            return lent.__get__(self, _with_scikit_learn(type(self))) if hasattr(lent, "__get__") else lent


def _lent(kind: type, name: str) -> Any:
    """An attribute of scikit-learn's base class, or None, where nobody has imported it or it has none of that name."""
    is_pythons = name.startswith("__") and not name.startswith("__sklearn_")  # methods of pickling call `super`
    if is_pythons or ("sklearn.base" not in sys.modules and name not in _SHOWN):
        return None
    return getattr_static(_with_scikit_learn(kind), name, None)


@cache
def _with_scikit_learn(kind: type) -> type:
    """A class of estimators and scikit-learn's base class, which adds requests for metadata, in one."""
    from sklearn.base import BaseEstimator

    return kind if issubclass(kind, BaseEstimator) else new_class(kind.__name__, (kind, BaseEstimator))
