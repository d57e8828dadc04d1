# bash completion for stead
_stead() {
    local current=${COMP_WORDS[COMP_CWORD]} words=
    if [ "$COMP_CWORD" = 1 ]; then
        words='up demo etcd etcdctl etcdutl --help --version'
    else
        case ${COMP_WORDS[1]}:${COMP_WORDS[COMP_CWORD - 1]} in
        up:--dir)
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return
            ;;
        up:--log-level) words='debug info warn error' ;;
        up:*) words='--dir --client-url --peer-url --log-level --help' ;;
        demo:*) words='--keep' ;;
        etcdctl:*) words='put get del txn watch compaction lease lock elect endpoint alarm defrag
            snapshot member check version --endpoints --help' ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _stead stead
