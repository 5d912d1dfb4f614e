# Shared bash functions of the tests of what is shipped; source it after `set -euo pipefail`.
# shellcheck shell=bash
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib.sh
source "$repo/scripts/lib.sh"

# The mirror that this machine's apt takes Debian from.
debian_mirror() {
  # shellcheck disable=SC2016  # apt's own
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk '$2 == "bookworm" || $2 == "stable" {print $1; exit}'
}

# debian_root DIR: a bookworm root with nothing but what is essential and apt, as a stranger's machine
# or an image's base has it. Made once and kept as an archive in build/ship/. Needs root.
debian_root() {
  local archive=$repo/build/ship/bookworm.tar fresh
  mkdir -p "$1" "${archive%/*}"
  if [[ ! -e $archive ]]; then
    say "making a Debian 12 root (once)"
    fresh=$(mktemp -d)
    debootstrap --variant=minbase bookworm "$fresh" "$(debian_mirror)" >"${archive%.tar}.log" 2>&1 || {
      tail -n 20 "${archive%.tar}.log" >&2
      die "debootstrap failed"
    }
    tar -C "$fresh" -cf "$archive.new" .
    mv "$archive.new" "$archive"
    rm -rf "$fresh"
  fi
  tar -C "$1" -xf "$archive"
  chmod 755 "$1"  # whatever it was made with: its users must get in
}

# The Debian suites that this machine's apt has, updates and security included, as lines of a
# sources.list.
debian_sources() {
  # shellcheck disable=SC2016  # apt's own
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 ~ /^(bookworm|stable)(-updates|-security)?$/ && !seen[$0]++'
}
