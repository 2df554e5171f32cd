# Completion of synmem in fish: `synmem --show-completion fish` prints this.
function __synmem_completion
    set -lx COMP_WORDS (commandline -cp | string collect)
    set -lx COMP_CWORD (count (commandline -opc))
    set -lx _SYNMEM_COMPLETE complete_bash
    set -l found (synmem 2>/dev/null | string match -v '')
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end

complete --command synmem --no-files --arguments '(__synmem_completion)'
