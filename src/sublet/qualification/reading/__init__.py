"""Reading: the text that a node's tools print, as values. Nothing is judged here.

Invariants: a parser never raises on bad input; it returns what it could read and says what it could not. A text whose
end cannot be shown to be there is never called whole.
"""
