#!/bin/sh
# Makes a folder that stands in for the official Rust image where it is only asked which platform is built for: a shell and its tools, and
# in place of the compiler programs that write down for what they were called.
#   tests/image/platforms.sh FOLDER
set -eu

base=$1
mkdir -p "$base/usr/local/bin" "$base/tmp"
dpkg --listfiles bash dash coreutils sed grep findutils libc6 libselinux1 libpcre2-8-0 libacl1 libattr1 libgmp10 libtinfo6 |
    sed -n '\,^\(/usr\)\?/\(s\?bin\|lib\|lib64\)/,p' | while read -r name; do
    if [ ! -d "$name" ]; then
        # Names as today's Debian lays them out.
        to=$base/usr/${name#/}
        case $name in /usr/*) to=$base$name ;; esac
        mkdir -p "$(dirname "$to")"
        cp --no-dereference --preserve=mode,links "$name" "$to"
    fi
done
for folder in bin sbin lib lib64; do
    mkdir -p "$base/usr/$folder"
    ln -s "usr/$folder" "$base/$folder"
done

cat >"$base/usr/local/bin/rustc" <<'PROGRAM'
#!/bin/sh
case $* in *sysroot*) echo /usr ;; *) echo "host: x86_64-unknown-linux-gnu" ;; esac
PROGRAM
cat >"$base/usr/local/bin/cargo" <<'PROGRAM'
#!/bin/sh
[ "$1" = build ] || exit 0
while [ $# -gt 0 ]; do
    [ "$1" = --target ] && target=$2
    shift
done
mkdir -p "target/$target/release"
echo "built for $target" >"target/$target/release/metrics-server-doctor"
PROGRAM
for program in rustup dpkg apt-get gcc aarch64-linux-gnu-gcc; do
    printf '#!/bin/sh\n' >"$base/usr/local/bin/$program"
done
chmod +x "$base"/usr/local/bin/*
