//! `list`: one call for the default columns; more only for what columns and filters need.

mod column;
mod filter;
mod item;

use crate::args::List;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Form, Table};
use column::Column;
use filter::Filter;
use item::Item;

/// Columns without `-c`, and with `--fast`.
const DEFAULT: &str = "ns46t";
const FAST: &str = "nsacPt";

/// Lists instances.
pub(crate) async fn run(session: &Session, args: &List) -> Result<(), Failure> {
    let columns = args.columns.as_deref().unwrap_or(if args.fast { FAST } else { DEFAULT });
    let columns = column::parse(columns)?;
    let (remote, filters) = crate::reference::split_remote(&args.filters);
    if let Some(remote) = remote {
        return Err(crate::reference::no_remote(remote));
    }
    let filter = Filter::parse(filters)?;
    let mut needs = filter.needs();
    columns.iter().for_each(|column| needs.add(column.needs()));
    let project = (!args.all_projects).then_some(session.project.as_str());
    let rows = pages::instances(session, project).await?;
    let rows = rows.into_iter().filter(|row| filter.takes_row(row)).collect();
    let mut items = item::load(session, rows, needs).await?;
    items.retain(|item| filter.takes(item));
    show(session, args, &columns, &items)
}

fn show(session: &Session, args: &List, columns: &[Column], items: &[Item]) -> Result<(), Failure> {
    let names = columns.iter().position(|c| *c == Column::Name);
    let mut table = Table::new(columns.iter().map(Column::title)).keyed(names.unwrap_or(0));
    for item in items {
        table.push(columns.iter().map(|column| column.of(item)));
    }
    if session.quiet && names.is_none() {
        let mut names = Table::new(["NAME"]);
        items.iter().for_each(|item| names.push([item.row.name.as_str()]));
        return render::print(&names.keys());
    }
    // A table of a thousand instances has no use for a thousand objects.
    let wanted = matches!(args.format.format.form, Form::Json | Form::Yaml);
    let data: Vec<_> = items.iter().filter(|_| wanted).map(Item::json).collect();
    render::show(args.format.format, session.quiet, &table, &data)
}
