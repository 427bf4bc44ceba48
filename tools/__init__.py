"""The machinery that turns chapters into a site. Readers of the book need none of it."""
