"""What a fit has been given: a table, or a part of data that come in parts."""
