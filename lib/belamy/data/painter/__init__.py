"""The workshop behind `belamy.data.portraits`: who sits, how they stand, how light and brush fall.

From the ground up: `brush` (soft edges, waves, colour), `sitter` (factors and nuisance to traits),
`palette`, `light`, `head` (the head as a surface in space), `face` (features on it), `hair`,
`dress`, `ground`, and `easel` (all together: one pure function from sitters to pictures).
"""
