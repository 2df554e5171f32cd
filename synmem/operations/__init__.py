"""Operations: what a command does, on stores that it is given; none prints, prompts or exits.

A file bears the name of its command, and what it is made of stands beside it:

migrate, import   transfer, copying, batch, compare, conflicts, proving, proof, receipt, removing
export            export, parts
clear, undo       clear, undo, backup (writes), backups (finds and reads)
check             check, check_receipt
search            search (words), recall (meaning), looking; the indices in the state folder:
                  word_index, word_tables, meaning_index, meaning_tables, index_file, following
show, stats       show, stats, listing
context           context, asked (those that ask a model)
summarize         summarize, extractive, running, covering
entities          entities
all               derived (what lies in the state folder), words (what a word is)
"""
