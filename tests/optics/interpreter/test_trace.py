"""The products that `trace` finds, against counts known otherwise; no weight is ever in memory."""

import jax
import jax.numpy as jnp
import pytest

import models
import optics


def sites_of(config: models.DecoderConfig, tokens: int) -> tuple[optics.Site, ...]:
    def forward(params, tokens):
        return models.forward(config, params, tokens)

    return optics.trace(forward)(models.parameter_shapes(config), jax.ShapeDtypeStruct((1, tokens), jnp.int32))


def macs(sites, wanted) -> int:
    return sum(site.macs for site in sites if wanted(site))


def test_smollm2_has_the_macs_of_its_matrices():
    """106,168,320 weights in 210 linear matrices, 49,152 x 576 in the tied head; QK^T and PV over half of the window
    and one half more, as the model's mask has it."""
    tokens = 512
    sites = sites_of(models.SMOLLM2_135M, tokens)
    head = [site for site in sites if site.path == "embedding"]
    assert macs(sites, lambda s: s.stationary and s.path != "embedding") == 106_168_320 * tokens
    assert macs(head, lambda s: s.optical) == 28_311_552 * tokens
    assert macs(sites, lambda s: not s.stationary) == 2 * 30 * 9 * 64 * tokens * (tokens + 1) // 2
    assert not any(site.optical for site in sites if not site.stationary)
    assert sum(site.executions * site.matrices for site in sites if site.stationary and site not in head) == 210


@pytest.mark.parametrize(
    ("config", "gigaflop"), [(models.LLAMA_3_1_8B, 15.0), (models.LLAMA_3_1_70B, 139.0), (models.LLAMA_3_1_405B, 807.5)]
)
def test_large_models_have_the_published_operations_per_token(config, gigaflop):
    """2 (P + D V) of the linear layers and head, in GFLOP per token."""
    sites = sites_of(config, 16)
    assert 2 * macs(sites, lambda s: s.stationary) / 16 == pytest.approx(gigaflop * 1e9, rel=2e-3)


def test_names_are_order_path_and_shape():
    names = [site.name for site in sites_of(models.SMOLLM2_135M, 8)]
    assert names == [
        "000 layers.q 576x576",
        "001 layers.k 576x192",
        "002 layers.v 576x192",
        "003 activations 64x24",
        "004 activations 8x24",
        "005 layers.o 576x576",
        "006 layers.gate 576x1536",
        "007 layers.up 576x1536",
        "008 layers.down 1536x576",
        "009 embedding 576x49152",
    ]


def shape(*dims):
    return jax.ShapeDtypeStruct(dims, jnp.float32)


def test_weights_keep_their_names_through_what_is_done_to_them():
    def forward(p, x):
        fused = jnp.concatenate([p["q"], 2 * p["k"].T], axis=1).astype(jnp.bfloat16)
        return x.astype(jnp.bfloat16) @ fused

    (site,) = optics.trace(forward)({"q": shape(8, 4), "k": shape(4, 8)}, shape(3, 8))
    assert (site.name, site.stationary) == ("000 q+k 8x8", True)


def test_what_depends_on_data_is_not_stationary():
    embedding = optics.trace(lambda w, t: w[t] @ w.T)(shape(9, 4), jax.ShapeDtypeStruct((5,), jnp.int32))
    assert [(s.path, s.stationary, s.vectors, s.columns) for s in embedding] == [("weights", True, 5, 9)]
    with pytest.warns(UserWarning, match="nothing runs on the core"):
        mixed = optics.trace(lambda w, x: x @ (w * x.sum()))(shape(4, 4), shape(5, 4))
    assert [s.stationary for s in mixed] == [False]
    closed_over = jnp.ones((4, 4))
    with pytest.warns(optics.WeightsArgumentWarning):
        captured = optics.trace(lambda w: closed_over @ w)(shape(4, 2))
    assert [s.stationary for s in captured] == [True]


def test_products_of_weights_alone_are_no_site():
    (site,) = optics.trace(lambda p, x: x @ (p["a"] @ p["b"]))({"a": shape(8, 2), "b": shape(2, 8)}, shape(3, 8))
    assert (site.path, site.rows, site.columns) == ("a+b", 8, 8)


def test_loops_multiply_and_unknown_turns_are_marked():
    scanned = optics.trace(lambda w, x: jax.lax.scan(lambda c, _: (c @ w, None), x, None, length=7)[0])
    (site,) = scanned(shape(4, 4), shape(2, 4))
    assert (site.executions, site.macs, site.bounded) == (7, 7 * 32, True)
    unknown = optics.trace(lambda w, x: jax.lax.while_loop(lambda c: c.sum() < 1, lambda c: c @ w, x))
    (site,) = unknown(shape(4, 4), shape(2, 4))
    assert (site.executions, site.bounded) == (1, False)


def test_a_convolution_is_a_product_of_patches_with_kernels():
    def forward(kernel, image):
        return jax.lax.conv(image, kernel, (1, 1), "VALID")

    (site,) = optics.trace(forward)(shape(8, 3, 5, 5), shape(2, 3, 16, 16))
    assert (site.optical, site.stationary, site.macs) == (True, True, 2 * 12 * 12 * 8 * 3 * 25)
    assert (site.rows, site.columns, site.vectors, site.matrices) == (3 * 25, 8, 2 * 12 * 12, 1)
    assert site.repeated == 1 - 2 * 3 * 16 * 16 / (75 * 288)


def test_a_convolution_whose_image_is_weights_stays_digital():
    def forward(image, kernel):
        return jax.lax.conv(image, kernel, (1, 1), "VALID")

    with pytest.warns(UserWarning, match="nothing runs on the core"):
        (site,) = optics.trace(forward)(shape(2, 3, 16, 16), shape(8, 3, 5, 5))
    assert (site.optical, site.reason) == (False, "image of weights, kernel of data")


def test_a_product_where_nobody_can_look_is_an_error():
    def forward(w, x):
        return jax.lax.custom_linear_solve(lambda v: w @ v, x, lambda _, b: b)

    with pytest.raises(ValueError, match="inside the primitive 'custom_linear_solve'"):
        optics.trace(forward)(shape(4, 4), shape(4))
