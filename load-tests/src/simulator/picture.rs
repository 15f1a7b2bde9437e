//! Pictures for demo media: a small PNG (RFC 2083) made on the spot, so that a console that shows them has something to
//! show without a file in the repository.

const SIDE: u32 = 96;

/// A PNG of 96 by 96 pixels, a gradient whose colours follow from `seed`.
pub(crate) fn png(seed: u128) -> Vec<u8> {
    let [red, green, blue, ..] = seed.to_le_bytes();
    let mut rows = Vec::with_capacity(usize::try_from(SIDE * (SIDE * 3 + 1)).unwrap_or(0));
    for y in 0..SIDE {
        rows.push(0);
        for x in 0..SIDE {
            let shade = |base: u8, along: u32| base.wrapping_add(u8::try_from(along * 2 % 256).unwrap_or(0)) | 0x20;
            rows.extend_from_slice(&[shade(red, x), shade(green, y), shade(blue, x + y)]);
        }
    }
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&SIDE.to_be_bytes());
    header.extend_from_slice(&SIDE.to_be_bytes());
    // Eight bits a sample, true colour, the only compression and filter methods, not interlaced.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut picture, *b"IHDR", &header);
    chunk(&mut picture, *b"IDAT", &zlib_stored(&rows));
    chunk(&mut picture, *b"IEND", &[]);
    picture
}

fn chunk(picture: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    picture.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kind);
    crc.update(data);
    picture.extend_from_slice(&kind);
    picture.extend_from_slice(data);
    picture.extend_from_slice(&crc.finalize().to_be_bytes());
}

/// A zlib stream (RFC 1950) of stored blocks: no compression, which needs no compressor.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.chunks(60_000);
    let last = blocks.len().saturating_sub(1);
    for (i, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(i == last));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in data {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    stream.extend_from_slice(&(high << 16 | low).to_be_bytes());
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_png_of_the_stated_size() {
        let picture = png(7);
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x60\0\0\0\x60"));
        assert!(picture.ends_with(&[0xae, 0x42, 0x60, 0x82]), "the checksum of an empty IEND is a known constant");
        assert_ne!(png(7), png(8));
    }
}
