pub mod doctor;
pub mod keys;
pub mod serve;
