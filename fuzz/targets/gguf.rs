//! The GGUF reader: any bytes are parsed or refused, and what was parsed can be read and shown.

#![no_main]

use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_pack::gguf::{Gguf, List};
use libfuzzer_sys::fuzz_target;

/// Decoding more elements than this of one tensor finds nothing new and takes long.
const ELEMENTS: u64 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Gguf::parse(bytes) else { return };
    for (key, value) in file.metadata() {
        let _ = value.to_string();
        let _ = file.get::<u32>(key);
        let _ = file.get::<f32>(key);
        if let Ok(Some(strings)) = file.get::<List<'_, &str>>(key) {
            assert_eq!(strings.iter().count(), strings.len());
        }
    }
    for tensor in file.tensors() {
        let elements = tensor.columns().checked_mul(tensor.row_count());
        let elements = elements.expect("a tensor that was placed has a length");
        assert_eq!(tensor.dims().iter().product::<u64>(), elements);
        for layout in I2sLayout::ALL {
            if tensor.data().is_ok()
                && elements <= ELEMENTS
                && let Ok(values) = tensor.dequantize(layout)
            {
                assert_eq!(values.len() as u64, elements);
            }
        }
        assert!(file.tensor(tensor.name()).is_some());
    }
});
