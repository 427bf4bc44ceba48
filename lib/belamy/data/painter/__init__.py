"""The workshop behind `belamy.data.portraits`: who sits, how they stand, how light and brush fall.

From the ground up: `brush` (soft edges, waves, colour), `sitter` (factors and nuisance to traits),
`head` (the head as a surface in space), `face` (features on it), `hair`, `scene` (dress, ground)
and `easel` (everything together, one pure function from sitters to pictures).
"""
