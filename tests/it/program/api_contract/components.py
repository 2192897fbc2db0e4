"""What schemathesis sends where a component is wanted: anything, a component that breaks off or is damaged, a whole one."""

import pathlib

import schemathesis
from hypothesis import strategies as st

COMPONENT = pathlib.Path("component.wasm").read_bytes()


def damaged(place: int, bits: int) -> bytes:
    changed = bytearray(COMPONENT)
    changed[place] ^= bits
    return bytes(changed)


places = st.integers(0, len(COMPONENT) - 1)
schemathesis.openapi.media_type(
    "application/wasm",
    st.one_of(
        st.binary(max_size=1024),
        places.map(lambda end: COMPONENT[:end]),
        st.builds(damaged, places, st.integers(1, 255)),
        st.just(COMPONENT),
    ),
)
