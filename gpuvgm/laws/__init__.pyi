from .dated import DatesInText as DatesInText
from .laws import Laws as Laws
from .sample import LawSample as LawSample
from .units import Unit as Unit
