//! Sees to it that a newly built page is embedded.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}
