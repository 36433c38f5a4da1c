#!/usr/bin/env bash
# scikit-build-core 1.1.2 with jedi 0.20.1: of a package that is installed in editable mode, "redirect" or "inplace", jedi,
# which completes names in Jupyter, Spyder and vim, offers nothing at all, neither functions nor modules. Python imports the
# package, and of an ordinary installation jedi offers its names. In both modes the installation puts a finder before all
# others, whose answer leads jedi to no source.
# Seen:
#   ordinary: imported True, completions ['area', 'shapes']
#   redirect: imported True, completions []
#   inplace: imported True, completions []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python=$folder/venv/bin/python
"$python" -m pip install --quiet scikit-build-core==1.1.2 jedi==0.20.1
mkdir -p "$folder/project/src/plane" "$folder/elsewhere"
echo 'def area(width: float, height: float) -> float:
    return width * height' >"$folder/project/src/plane/__init__.py"
echo 'UNIT = 1.0' >"$folder/project/src/plane/shapes.py"
cat >"$folder/ask.py" <<'PYTHON'
import sys

import jedi

import plane

names = [name.name for name in jedi.Script("import plane\nplane.").complete() if not name.name.startswith("_")]
print(f"{sys.argv[1]}: imported {plane.area(2, 3) == 6}, completions {sorted(names)}")
PYTHON
for mode in ordinary redirect inplace; do
    cat >"$folder/project/pyproject.toml" <<TOML
[build-system]
requires = ["scikit-build-core"]
build-backend = "scikit_build_core.build"

[project]
name = "plane"
version = "1.0"

[tool.scikit-build]
wheel.cmake = false
editable.mode = "${mode/ordinary/redirect}"
TOML
    options=(--editable)
    if [[ $mode == ordinary ]]; then options=(); fi
    "$python" -m pip install --quiet --force-reinstall --no-build-isolation "${options[@]}" "$folder/project"
    (cd "$folder/elsewhere" && "$python" "$folder/ask.py" "$mode") | tee -a "$folder/seen"
done
diff "$folder/seen" - <<'SEEN'
ordinary: imported True, completions ['area', 'shapes']
redirect: imported True, completions []
inplace: imported True, completions []
SEEN
