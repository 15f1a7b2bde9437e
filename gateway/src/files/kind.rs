//! What a file is, by its content. What its name or its sender say of it is not believed.

/// The kinds of files that are taken, for people to read.
pub const TAKEN: &str = "images (PNG, JPEG, GIF, WebP, AVIF, HEIC), audio (MP3, M4A, Ogg, WAV, AMR), video (MP4, WebM, QuickTime, 3GP), \
                         PDF, Office documents, ZIP, and text";

/// Kinds that are shown where they stand; others are downloaded. No kind in which a browser would run a script.
pub fn is_shown(content_type: &str) -> bool {
    matches!(content_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif")
        || content_type.starts_with("audio/")
        || content_type.starts_with("video/")
}

/// The media type of a content; `None` if it is none that is taken. `name` only tells formats apart that share one container.
pub fn sniff(content: &[u8], name: &str) -> Option<&'static str> {
    let at = |from: usize, what: &[u8]| content.get(from..).is_some_and(|rest| rest.starts_with(what));
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    Some(match () {
        () if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        () if at(0, b"\xff\xd8\xff") => "image/jpeg",
        () if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        () if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        () if at(0, b"RIFF") && at(8, b"WAVE") => "audio/wav",
        () if at(4, b"ftyp") => brand(content.get(8..12)?),
        () if at(0, b"\x1a\x45\xdf\xa3") => "video/webm",
        () if at(0, b"OggS") => "audio/ogg",
        () if at(0, b"#!AMR") => "audio/amr",
        () if at(0, b"ID3") || is_mpeg_frame(content) => "audio/mpeg",
        () if at(0, b"%PDF-") => "application/pdf",
        () if at(0, b"PK\x03\x04") => match ending.as_str() {
            "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            _ => "application/zip",
        },
        () if is_text(content) => match ending.as_str() {
            "csv" => "text/csv",
            "vcf" => "text/vcard",
            _ => "text/plain",
        },
        () => return None,
    })
}

/// What an ISO base media file is, by its major brand.
fn brand(brand: &[u8]) -> &'static str {
    match brand {
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"mif1" => "image/heic",
        b"M4A " | b"M4B " => "audio/mp4",
        b"qt  " => "video/quicktime",
        [b'3', b'g', b'p', _] => "video/3gpp",
        _ => "video/mp4",
    }
}

/// Whether it begins with a frame of MPEG audio, layer III.
fn is_mpeg_frame(content: &[u8]) -> bool {
    matches!(content, [0xff, second, third, ..] if second & 0xe6 == 0xe2 && third >> 4 != 0xf && third >> 4 != 0)
}

/// Whether people can read it: UTF-8 without control characters but those of lines.
fn is_text(content: &[u8]) -> bool {
    !content.is_empty()
        && std::str::from_utf8(content)
            .is_ok_and(|text| text.chars().all(|one| !one.is_control() || matches!(one, '\n' | '\r' | '\t')))
}

#[cfg(test)]
mod tests {
    use super::{is_shown, sniff};

    #[test]
    fn content_decides_and_not_the_name() {
        let cases: [(&[u8], &str, Option<&str>); 12] = [
            (b"\x89PNG\r\n\x1a\n....", "evil.html", Some("image/png")),
            (b"RIFF....WEBPVP8 ", "a", Some("image/webp")),
            (b"....ftypM4A ....", "voice", Some("audio/mp4")),
            (b"....ftypisom....", "clip", Some("video/mp4")),
            (b"\xff\xfb\x90\x00", "song", Some("audio/mpeg")),
            (b"%PDF-1.7", "invoice.png", Some("application/pdf")),
            (
                b"PK\x03\x04....",
                "x.docx",
                Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ),
            (b"<svg xmlns='http://www.w3.org/2000/svg'><script>", "a.svg", Some("text/plain")),
            (b"<!doctype html><script>", "a.html", Some("text/plain")),
            (b"MZ\x90\x00\x03", "setup.exe", None),
            (b"\x7fELF", "a", None),
            (b"", "a.txt", None),
        ];
        for (content, name, expected) in cases {
            assert_eq!(sniff(content, name), expected, "{name}");
        }
        assert!(!is_shown("text/plain") && !is_shown("application/pdf") && !is_shown("image/svg+xml"));
    }
}
