//! The settings of the service.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use server::ServerSettings;

fuzz_target!(|text: &str| {
    if let Ok(settings) = ServerSettings::parse(Path::new("safeguard.toml"), text) {
        assert!(settings.check().is_ok());
    }
});
