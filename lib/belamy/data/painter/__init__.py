"""The workshop behind `belamy.data.portraits`: who sits, how they stand, how light and brush fall.

From the ground up: `brush` (soft edges, waves, colour), `palette`, `sitter` (factors and nuisance to
a `Sitter`, which all others call t), `light`, `head` (the head as a surface in space), `face`
(features on it), `hair`, `dress`, `ground`, and `easel` (all together: one pure function from
sitters to pictures).
"""
