"""How dates are written in English, by the names that templates give to the ``date`` filter."""

DAY_OF_YEAR = "j F"
DAY_OF_WEEK = "l, j F"
SHORT_DAY = "D, j F"
LONG_DATE = "j F Y"
FULL_DATE = "l, j F Y"
MOMENT = "j F, H:i"
