"""Who there is and what they own: the audit log, agencies, people, workspaces, keys."""
