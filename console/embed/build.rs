//! Tells cargo when the console's build has changed. It only prints: npm is run by `make console`, never by cargo.

fn main() {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/dist");
    println!("cargo:rerun-if-changed=embed/build.rs");
    println!("cargo:rerun-if-changed={dist}");
    if !std::path::Path::new(dist).join("index.html").is_file() {
        println!("cargo:warning=console/dist is empty: `/` will show the built-in page (run `make console`)");
    }
}
