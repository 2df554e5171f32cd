# Completion of synmem in bash: `synmem --show-completion bash` prints this.
_synmem_completion() {
    # Bash breaks words at ":" and "=" too. Joined again as they stand in the line, they are
    # what the program gets; what bash puts in place is only the last piece.
    local rest=${COMP_LINE:0:COMP_POINT} next word prefix="" i last=-1
    local -a words=() found=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        next=${rest#"${rest%%[![:space:]]*}"}
        if ((i == 0)) || [[ $next != "$rest" ]]; then
            words[++last]=""
            prefix=""
        fi
        rest=$next
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then
            word=$rest
            [[ $word == [:=]* ]] && prefix+=${word:0:1}
        else
            rest=${rest#"$word"}
            prefix+=$word
        fi
        words[last]+=$word
    done
    local IFS=$'\n' line quote=${word:0:1}
    while read -r line; do
        [[ -z $line ]] && continue
        case $quote in
            # Within " nothing keeps ! from the history: a backslash would stay in the word.
            \") [[ $line == *!* ]] && continue
                line=${line//\\/\\\\} line=${line//\"/\\\"} line=${line//\$/\\\$}
                line=${line//\`/\\\`} ;;
            \') [[ $line == *\'* ]] && continue ;;
            *) printf -v line %q "$line"
                [[ $line == \$\'*!* ]] && continue ;;
        esac
        found+=("${line#"$prefix"}")
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$last _SYNMEM_COMPLETE=complete_bash \
        "${1/#\~/$HOME}" 2>/dev/null)
    COMPREPLY=("${found[@]}")
}

complete -o default -F _synmem_completion synmem
