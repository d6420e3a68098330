//! Generates the client from the document in 3.0, which OPENAPI names.

use std::path::PathBuf;

use progenitor::{GenerationSettings, Generator, InterfaceStyle};

fn main() {
    println!("cargo:rerun-if-env-changed=OPENAPI");
    let document =
        std::env::var("OPENAPI").expect("OPENAPI: a file, `gateway openapi --spec 3.0 --api apps`");
    println!("cargo:rerun-if-changed={document}");
    let text = std::fs::read_to_string(document).expect("the document is readable");
    let document = serde_json::from_str(&text).expect("it is a document in OpenAPI 3.0");
    let mut settings = GenerationSettings::default();
    settings.with_interface(InterfaceStyle::Builder);
    let client = Generator::new(&settings).generate_tokens(&document).expect("progenitor reads it");
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("client.rs"), client.to_string()).expect("OUT_DIR is writable");
}
