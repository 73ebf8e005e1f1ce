pub(crate) mod accounts;
pub(crate) mod client;
pub(crate) mod doctor;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod manual;
pub(crate) mod serve;
pub(crate) mod worker;
