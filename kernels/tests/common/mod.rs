//! Row tiles written by the tables of `docs/layouts.md`, independently of the code that packs them.

use bitnet_edge_kernels::tile::Layout;

/// Half a unit in the last place of 1: the relative error of one rounding.
pub(crate) const EPS: f64 = 1.0 / 16_777_216.0;

/// A generator of operands.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 32) as u32
    }
    /// Between -2 and 2.
    pub(crate) fn float(&mut self) -> f32 {
        self.bits() as i32 as f32 / 1_073_741_824.0
    }
    /// A positive f16 between 2^-5 and 2, and its value.
    fn half(&mut self) -> ([u8; 2], f64) {
        let (exponent, mantissa) = (10 + self.bits() % 6, self.bits() % 1024);
        let value = f64::from(1024 + mantissa) / 1024.0 * 2f64.powi(exponent as i32 - 15);
        (((exponent << 10 | mantissa) as u16).to_le_bytes(), value)
    }
}

pub(crate) fn close(got: f32, want: f64, bound: f64, what: &str) {
    let error = (f64::from(got) - want).abs();
    assert!(error <= bound, "{what}: {got} is not {want} (error {error:e}, bound {bound:e})");
}

fn round64(n: usize) -> usize {
    n.div_ceil(64) * 64
}

/// Four rows of weights and the bytes of their row tile.
pub(crate) fn matrix(layout: Layout, cols: usize, noise: &mut Noise) -> ([Vec<f64>; 4], Vec<u8>) {
    let mut w = [(); 4].map(|()| vec![0.0; cols]);
    let mut tile = Vec::new();
    match layout {
        Layout::F32 | Layout::F16 | Layout::Bf16 => floats(layout, cols, noise, &mut w, &mut tile),
        Layout::T2r4 => ternary(cols, noise, &mut w, &mut tile),
        Layout::Q6r4 => q6r4(cols, noise, &mut w, &mut tile),
        Layout::Q4k4 | Layout::Q5k4 => k4(layout == Layout::Q5k4, cols, noise, &mut w, &mut tile),
        _ => {
            for first in (0..cols).step_by(256) {
                tile.extend(panel(layout, first, (cols - first).min(256), noise, &mut w));
            }
        }
    }
    assert_eq!(tile.len(), layout.row_tile_bytes(cols).unwrap());
    (w, tile)
}

fn floats(layout: Layout, cols: usize, noise: &mut Noise, w: &mut [Vec<f64>; 4], tile: &mut Vec<u8>) {
    for row in w {
        let at = tile.len();
        for w in row.iter_mut() {
            let (bytes, value) = match layout {
                Layout::F32 => {
                    let x = noise.float();
                    (x.to_le_bytes().to_vec(), f64::from(x))
                }
                Layout::F16 => {
                    let (bytes, value) = noise.half();
                    (bytes.to_vec(), value)
                }
                _ => {
                    let bits = noise.float().to_bits() >> 16;
                    ((bits as u16).to_le_bytes().to_vec(), f64::from(f32::from_bits(bits << 16)))
                }
            };
            tile.extend(bytes);
            *w = value;
        }
        let size = if layout == Layout::F32 { 4 } else { 2 };
        tile.resize(at + round64(cols * size), 0);
    }
}

fn ternary(cols: usize, noise: &mut Noise, w: &mut [Vec<f64>; 4], tile: &mut Vec<u8>) {
    tile.resize(64 * cols.div_ceil(64), 0);
    for (r, w) in w.iter_mut().enumerate() {
        for column in 0..cols.next_multiple_of(64) {
            let code = if column < cols { (noise.bits() % 3) as u8 } else { 1 };
            let (t, c) = (column / 64, column % 64);
            tile[64 * t + 16 * r + c % 16] |= code << (2 * (c / 16));
            if let Some(w) = w.get_mut(column) {
                *w = f64::from(code) - 1.0;
            }
        }
    }
}

/// A panel of `q8r4`, `q4r4`, `q4m4` or `q5r4`.
fn panel(layout: Layout, first: usize, n: usize, noise: &mut Noise, w: &mut [Vec<f64>; 4]) -> Vec<u8> {
    let (g, wide, minima) = (n / 32, layout == Layout::Q8r4, layout == Layout::Q4m4);
    let five = layout == Layout::Q5r4;
    let weights = if wide { 128 * g } else { 64 * g } + if five { 64 * g.div_ceil(4) } else { 0 };
    let scales = round64(8 * g);
    let mut bytes = vec![0; weights + scales * if minima { 2 } else { 1 }];
    for (r, w) in w.iter_mut().enumerate() {
        for j in 0..g {
            let (d_bytes, d) = noise.half();
            bytes[weights + 8 * j + 2 * r..][..2].copy_from_slice(&d_bytes);
            let mut m = 0.0;
            if minima {
                let (m_bytes, value) = noise.half();
                bytes[weights + scales + 8 * j + 2 * r..][..2]
                    .copy_from_slice(&[m_bytes[0], m_bytes[1] | 0x80]);
                m = -value;
            }
            for c in 32 * j..32 * j + 32 {
                let quant = if wide {
                    let q = noise.bits() as i8;
                    bytes[64 * (c / 16) + 16 * r + c % 16] = q as u8;
                    f64::from(q)
                } else {
                    let code = (noise.bits() % if five { 32 } else { 16 }) as u8;
                    let q = code & 15;
                    bytes[64 * j + 16 * r + c % 16] |= if c % 32 < 16 { q } else { q << 4 };
                    if five {
                        bytes[64 * g + 64 * (c / 128) + 16 * r + c % 16] |= (code >> 4) << (c % 128 / 16);
                    }
                    f64::from(code)
                        - if minima {
                            0.0
                        } else if five {
                            16.0
                        } else {
                            8.0
                        }
                };
                w[first + c] = d * quant + m;
            }
        }
    }
    bytes
}

fn q6r4(cols: usize, noise: &mut Noise, w: &mut [Vec<f64>; 4], tile: &mut Vec<u8>) {
    let panels = cols / 256;
    tile.resize(832 * panels + round64(8 * panels), 0);
    for (r, w) in w.iter_mut().enumerate() {
        for k in 0..panels {
            let (d_bytes, d) = noise.half();
            tile[832 * panels + 8 * k + 2 * r..][..2].copy_from_slice(&d_bytes);
            let panel = &mut tile[832 * k..][..832];
            for s in 0..16 {
                let scale = noise.bits() as i8;
                panel[768 + 4 * s + r] = scale as u8;
                for c in 16 * s..16 * s + 16 {
                    let code = (noise.bits() % 64) as u8;
                    let low = code & 15;
                    panel[192 * (c / 64) + 64 * (c % 64 / 32) + 16 * r + c % 16] |=
                        if c % 32 < 16 { low } else { low << 4 };
                    panel[192 * (c / 64) + 128 + 16 * r + c % 16] |= (code >> 4) << (2 * (c % 64 / 16));
                    w[256 * k + c] = d * f64::from(scale) * (f64::from(code) - 32.0);
                }
            }
        }
    }
}

fn k4(five: bool, cols: usize, noise: &mut Noise, w: &mut [Vec<f64>; 4], tile: &mut Vec<u8>) {
    let (panel, heads) = if five { (704, 640) } else { (576, 512) };
    tile.resize(panel * (cols / 256), 0);
    for (k, bytes) in tile.chunks_mut(panel).enumerate() {
        for (r, w) in w.iter_mut().enumerate() {
            let ((d_bytes, d), (m_bytes, dmin)) = (noise.half(), noise.half());
            let head = &mut bytes[heads + 16 * r..][..16];
            head[..2].copy_from_slice(&d_bytes);
            head[2..4].copy_from_slice(&m_bytes);
            let mut six = || -> [u8; 8] { core::array::from_fn(|_| (noise.bits() % 64) as u8) };
            let (scales, minima) = (six(), six());
            for s in 0..4 {
                head[4 + s] = scales[s] | (scales[4 + s] >> 4) << 6;
                head[8 + s] = minima[s] | (minima[4 + s] >> 4) << 6;
                head[12 + s] = scales[4 + s] & 15 | (minima[4 + s] & 15) << 4;
            }
            for c in 0..256 {
                let code = (noise.bits() % if five { 32 } else { 16 }) as u8;
                let low = code & 15;
                bytes[64 * (c / 32) + 16 * r + c % 16] |= if c % 32 < 16 { low } else { low << 4 };
                if five {
                    bytes[512 + 64 * (c / 128) + 16 * r + c % 16] |= (code >> 4) << (c % 128 / 16);
                }
                let (scale, minimum) = (f64::from(scales[c / 32]), f64::from(minima[c / 32]));
                w[256 * k + c] = d * scale * f64::from(code) - dmin * minimum;
            }
        }
    }
}
