from .amounts import amount as amount
from .mixed_table import mixed_table_rows as mixed_table_rows
from .ranges import RowRange as RowRange
from .writing import Generator as Generator, generate as generate
