-- An agency may go back to the house's price: the version in which it did has no amount.
alter table price alter column credits drop not null;
