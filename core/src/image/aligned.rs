//! An image in static memory.

/// A value at an address that is a multiple of 64, as a flash image needs it.
///
/// [`include_image!`](crate::include_image) is the short form. The type is for what that macro cannot say, such as the
/// section of memory that a linker script gives to the image:
///
/// ```standalone_crate
/// use bitnet_edge_core::{Model, image::Aligned};
///
/// #[cfg_attr(target_os = "none", unsafe(link_section = ".flash.model"))]
/// static IMAGE: Aligned<[u8; include_bytes!("../../testdata/tiny.bpk").len()]> =
///     Aligned(*include_bytes!("../../testdata/tiny.bpk"));
///
/// assert!(IMAGE.0.as_ptr().addr().is_multiple_of(64));
/// assert!(Model::new_checked(&IMAGE.0).is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// The flash image in a file, as a `&'static [u8]` that starts at a multiple of 64.
///
/// As [`include_bytes!`], whose result may start anywhere, so that [`Model::new_checked`](crate::Model::new_checked)
/// would refuse it by chance.
///
/// ```standalone_crate
/// use bitnet_edge_core::{Model, ModelConfig, include_image};
/// static IMAGE: &[u8] = include_image!("../../testdata/tiny.bpk");
/// const LAYERS: u32 = match ModelConfig::read(IMAGE) {
///     Ok(config) => config.layers,
///     Err(_) => panic!("not a flash image of this version"),
/// };
/// assert_eq!(LAYERS, 2);
/// assert_eq!(Model::new_checked(IMAGE)?.config().layers, LAYERS);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[macro_export]
macro_rules! include_image {
    ($path:expr $(,)?) => {{
        const IMAGE: &$crate::image::Aligned<[u8]> = &$crate::image::Aligned(*include_bytes!($path));
        &IMAGE.0
    }};
}
