pub(crate) mod accounts;
pub(crate) mod doctor;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod serve;
pub(crate) mod worker;
