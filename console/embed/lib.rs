//! The web console as the browser gets it: the files that `npm run build` left in `dist`, each with its precompressed forms.
//!
//! The page holds a place for a nonce, which is another one in each answer, and one inline script, which its policy allows by
//! the hash of what was embedded: the two cannot drift apart. Without a build there is no console, and [`console`] says so.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// What stands in the page where the nonce belongs.
const NONCE: &str = "__CSP_NONCE__";

#[derive(RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Dist;

/// A file of the console.
#[derive(Debug)]
pub struct Asset {
    /// As it is.
    pub plain: Bytes,
    /// Compressed with Brotli, if that is worth it.
    pub br: Option<Bytes>,
    /// Compressed with gzip, if that is worth it.
    pub gzip: Option<Bytes>,
    /// Names the content: another content has another one. Without quotes.
    pub etag: String,
    /// The media type, for the header `Content-Type`.
    pub media_type: &'static str,
}

/// The console.
#[derive(Debug)]
pub struct Console {
    page: String,
    script_hash: String,
    assets: HashMap<String, Asset>,
}

/// The console of this binary; nothing if it was built without one.
pub fn console() -> Option<&'static Console> {
    static CONSOLE: LazyLock<Option<Console>> = LazyLock::new(|| {
        let files = Dist::iter().filter_map(|path| {
            let content = Dist::get(&path)?.data;
            Some((path.into_owned(), Bytes::from(content.into_owned())))
        });
        Console::of(files.collect())
    });
    CONSOLE.as_ref()
}

impl Console {
    fn of(mut files: HashMap<String, Bytes>) -> Option<Self> {
        let page = String::from_utf8(files.remove("index.html")?.to_vec()).ok()?;
        let script = page.split_once("<script>")?.1.split_once("</script>")?.0;
        let script_hash = STANDARD.encode(Sha256::digest(script));
        let mut compressed: HashMap<String, Bytes> = HashMap::new();
        files.retain(|path, content| {
            let smaller = has_ending(path, "br") || has_ending(path, "gz");
            if smaller {
                compressed.insert(path.clone(), content.clone());
            }
            !smaller && !path.starts_with('.')
        });
        let assets = files.into_iter().map(|(path, plain)| {
            let asset = Asset {
                br: compressed.remove(&format!("{path}.br")),
                gzip: compressed.remove(&format!("{path}.gz")),
                etag: URL_SAFE_NO_PAD.encode(Sha256::digest(&plain).get(..12).unwrap_or_default()),
                media_type: media_type(&path),
                plain,
            };
            (path, asset)
        });
        let assets = assets.collect();
        Some(Self { page, script_hash, assets })
    }

    /// The file at `path`, which has no slash before it.
    pub fn asset(&self, path: &str) -> Option<&Asset> {
        self.assets.get(path)
    }

    /// The page, for an answer with this nonce.
    pub fn page(&self, nonce: &str) -> String {
        self.page.replace(NONCE, nonce)
    }

    /// The page of the web chat widget's frame, for an answer with this nonce.
    pub fn widget_frame(&self, nonce: &str) -> Option<String> {
        let page = self.assets.get("widget/frame.html")?;
        Some(String::from_utf8_lossy(&page.plain).replace(NONCE, nonce))
    }

    /// What the page of an answer with this nonce may load and do: the header `Content-Security-Policy`.
    pub fn policy(&self, nonce: &str) -> String {
        format!(
            "default-src 'none'; script-src 'self' 'sha256-{}'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; \
             font-src 'self'; connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types default",
            self.script_hash
        )
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|found| found == ending)
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Console, Digest, STANDARD, Sha256};
    use base64::Engine;

    fn console() -> Console {
        let page = "<meta nonce=\"__CSP_NONCE__\"><script>boot()</script><script type=\"module\" src=\"/assets/a.js\"></script>";
        let files = [
            ("index.html", page),
            ("assets/a.js", "plain"),
            ("assets/a.js.br", "br"),
            ("assets/a.js.gz", "gz"),
            ("icon.svg", "<svg/>"),
            ("widget/frame.html", "<script nonce=\"__CSP_NONCE__\" src=\"/widget/assets/f.js\"></script>"),
            (".vite/manifest.json", "{}"),
        ];
        Console::of(files.map(|(path, text)| (path.to_owned(), Bytes::from(text))).into()).expect("a page")
    }

    #[test]
    fn the_policy_allows_the_embedded_script_and_the_nonce_alone() {
        let console = console();
        let policy = console.policy("abc");
        assert!(policy.contains(&format!("'sha256-{}'", STANDARD.encode(Sha256::digest("boot()")))), "{policy}");
        assert!(policy.contains("style-src 'self' 'nonce-abc';"));
        assert!(!policy.contains("unsafe"));
        assert!(console.page("abc").contains("nonce=\"abc\""));
        assert!(!console.page("abc").contains("__CSP_NONCE__"));
        assert!(console.widget_frame("abc").expect("the frame").starts_with("<script nonce=\"abc\""));
    }

    #[test]
    fn files_come_with_their_compressed_forms_and_nothing_else() {
        let console = console();
        let script = console.asset("assets/a.js").expect("the script");
        assert_eq!(script.br.as_deref(), Some(b"br".as_slice()));
        assert_eq!(script.gzip.as_deref(), Some(b"gz".as_slice()));
        assert_eq!(script.media_type, "text/javascript; charset=utf-8");
        assert!(console.asset("icon.svg").expect("the icon").br.is_none());
        for hidden in ["index.html", "assets/a.js.br", ".vite/manifest.json", "assets/b.js"] {
            assert!(console.asset(hidden).is_none(), "{hidden}");
        }
        assert_ne!(script.etag, console.asset("icon.svg").expect("the icon").etag);
    }

    #[test]
    fn without_a_page_there_is_no_console() {
        assert!(Console::of([("assets/a.js".to_owned(), Bytes::new())].into()).is_none());
    }
}
