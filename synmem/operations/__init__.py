"""Operations: what a command does, on stores that it is given; none prints, prompts or exits.

A file bears the name of its command, or of what that is made of:

moving/     migrate, import: transfer, copying, batch, compare, conflicts, proving, receipt,
            removing, sets;  check: check, check_receipt
keeping/    clear, undo; backup writes a backup, backups finds and reads them; groups, of messages
            that are not parted
searching/  by words: search, words, word_index, word_tables;  by meaning: recall, meaning_index,
            meaning_tables;  index_file and following, for both indices
deriving/   context, entities;  summarize: running with a model, extractive without; covering
export      export, parts
show, stats show, stats
several     listing and looking (what is there), proof and overlap (what is the same),
            derived (what the state folder has of it)
"""
