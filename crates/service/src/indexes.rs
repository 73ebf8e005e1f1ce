//! The verbs on indexes (contract, section 6).

use reelhouse_api::{
    Fault, IndexId, Page, PageInfo,
    index::{CreateIndex, IndexModel},
};
use reelhouse_store::{IndexQuery, IndexRecord, Renamed};

use crate::{
    Caller, Service,
    error::Result,
    models::{Model, OPTIONS},
};

/// Longest name of an index, in characters.
const MAX_NAME_CHARS: usize = 255;
/// The add-ons there are.
const ADDONS: &[&str] = &["thumbnail"];

impl Service {
    /// Makes an index.
    ///
    /// # Errors
    /// The [`Fault`] of its name, its models or its add-ons.
    pub async fn create_index(&self, caller: &Caller, new: CreateIndex) -> Result<IndexId> {
        let CreateIndex { index_name, models, addons } = new;
        check_name(&index_name)?;
        check_models(&models)?;
        check_addons(&addons, &models)?;
        let id: IndexId = self.next_id()?;
        let index = IndexRecord {
            id,
            account: caller.account.clone(),
            index_name,
            models,
            addons,
            created_at: id.created_ms(),
            updated_at: id.created_ms(),
            video_count: 0,
            total_duration_ms: 0,
        };
        if !self.store.insert_index(&index).await? {
            return Err(Fault::IndexNameAlreadyExists { index_name: index.index_name }.into());
        }
        Ok(id)
    }

    /// One index of the caller's.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] if there is none.
    pub async fn index(&self, caller: &Caller, id: IndexId) -> Result<IndexRecord> {
        Ok(self.store.index(&caller.account, id).await?.ok_or_else(|| index_not_found(id))?)
    }

    /// One page of the caller's indexes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn indexes(&self, caller: &Caller, query: &IndexQuery) -> Result<Page<IndexRecord>> {
        let (data, total) = self.store.indexes(&caller.account, query).await?;
        Ok(Page { data, page_info: PageInfo::new(query.page, query.page_limit, total) })
    }

    /// Gives an index of the caller's another name.
    ///
    /// # Errors
    /// The [`Fault`] of the name, or [`Fault::ResourceNotExist`].
    pub async fn rename_index(&self, caller: &Caller, id: IndexId, name: &str) -> Result<()> {
        check_name(name)?;
        match self.store.rename_index(&caller.account, id, name, self.clock.now_ms()).await? {
            Renamed::Renamed => Ok(()),
            Renamed::Absent => Err(index_not_found(id).into()),
            Renamed::NameTaken => Err(Fault::IndexNameAlreadyExists { index_name: name.to_owned() }.into()),
        }
    }

    /// Deletes an index of the caller's and all that is in it. The assets stay, and nothing of it keeps them.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] if there is none.
    pub async fn delete_index(&self, caller: &Caller, id: IndexId) -> Result<()> {
        let found = self.store.remove_index(&caller.account, id).await?;
        if found { Ok(()) } else { Err(index_not_found(id).into()) }
    }
}

/// 404 for an id as the caller wrote it.
pub fn index_not_found(id: impl ToString) -> Fault {
    Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "indexes" }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let count = name.chars().count();
    if name.trim().is_empty() {
        return Err(Fault::ParameterNotProvided { parameter: "index_name" });
    }
    if name.contains('\0') {
        let reason = "It has a NUL character.".to_owned();
        return Err(Fault::ParameterInvalid { parameter: "index_name", reason });
    }
    if count > MAX_NAME_CHARS {
        let reason = format!("It has {count} characters, at most {MAX_NAME_CHARS} are allowed.");
        return Err(Fault::ParameterInvalid { parameter: "index_name", reason });
    }
    Ok(())
}

fn check_models(models: &[IndexModel]) -> Result<(), Fault> {
    let invalid = |reason: String| Err(Fault::ParameterInvalid { parameter: "models", reason });
    if models.is_empty() {
        return invalid("It names no model.".to_owned());
    }
    for (at, IndexModel { model_name, model_options }) in models.iter().enumerate() {
        if Model::parse(model_name).is_none() {
            let known: Vec<&str> = Model::ALL.iter().map(|model| model.name()).collect();
            return invalid(format!("\"{model_name}\" is none of {}.", known.join(", ")));
        }
        if models[..at].iter().any(|earlier| earlier.model_name == *model_name) {
            return invalid(format!("It names {model_name} more than once."));
        }
        if model_options.is_empty() {
            return invalid(format!("It names no options of {model_name}."));
        }
        if let Some(option) = model_options.iter().find(|option| !OPTIONS.contains(&option.as_str())) {
            return invalid(format!("\"{option}\" is none of {}.", OPTIONS.join(", ")));
        }
    }
    Ok(())
}

fn check_addons(addons: &[String], models: &[IndexModel]) -> Result<(), Fault> {
    let invalid = |reason: String| Err(Fault::ParameterInvalid { parameter: "addons", reason });
    if let Some(addon) = addons.iter().find(|addon| !ADDONS.contains(&addon.as_str())) {
        return invalid(format!("\"{addon}\" is none of {}.", ADDONS.join(", ")));
    }
    let marengo = models.iter().any(|model| Model::parse(&model.model_name) == Some(Model::Marengo));
    if !addons.is_empty() && !marengo {
        return invalid(format!("Add-ons need {} among the models.", Model::Marengo.name()));
    }
    Ok(())
}
