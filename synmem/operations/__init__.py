"""Operations: what a command does, on stores that it is given; none prints, prompts or exits.

A file bears the name of its command, or of what that is made of:

migrate, import   transfer, copying, batch, compare, conflicts, proving, proof, receipt, removing
export            export, parts
clear, undo       clear, undo; backup writes a backup, backups finds and reads them
check             check, check_receipt
search            search by words: words, word_index, word_tables;
                  recall by meaning: meaning_index, meaning_tables;
                  index_file and following, for both indices
show, stats       show, stats
context           context
summarize         summarize; running with a model, extractive without; covering
entities          entities
several           listing and looking (what is there), derived (what the state folder has of it)
"""
