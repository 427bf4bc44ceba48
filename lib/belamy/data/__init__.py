"""Image sets in memory: bundled, painted, from a folder of your own, downloaded.

``python -m belamy.data`` lists what is kept of downloaded and decoded pictures, with sizes;
``python -m belamy.data --clear`` removes it.
"""

from belamy.data.digits import digits
from belamy.data.folder import folder
from belamy.data.image_set import ImageSet
from belamy.data.mnist import fashion_mnist, mnist
from belamy.data.phantoms import ct_phantoms
from belamy.data.portraits import FACTORS, paint, portraits

__all__ = [
    "FACTORS",
    "ImageSet",
    "ct_phantoms",
    "digits",
    "fashion_mnist",
    "folder",
    "mnist",
    "paint",
    "portraits",
]
