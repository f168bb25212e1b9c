//! Compiles the windows, with the German of `lang/` inside.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("Cargo says where the package lies");
    let config = slint_build::CompilerConfiguration::new()
        .with_style("fluent".into())
        .with_bundled_translations(format!("{here}/lang"))
        .with_default_translation_context(slint_build::DefaultTranslationContext::None)
        // Names of elements for tests; nothing of it is in a release.
        .with_debug_info(std::env::var("PROFILE").as_deref() == Ok("debug"));
    slint_build::compile_with_config("slint/app.slint", config).expect("the windows compile");
}
