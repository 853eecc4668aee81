"""Files: those that appear whole or not at all, and the formats that minidl reads and writes, of which no file is
trusted: each check comes before the memory that it saves is asked for.
"""
from .whole import part_of, put
