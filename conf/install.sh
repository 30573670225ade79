#!/usr/bin/env bash
# Installs what conf/packages.txt lists, with the sections that are named: conf/install.sh [SECTION...]
# Does nothing, quickly, when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$(sed 's/#.*//' conf/packages.txt | awk -v sections=" $* " '
  BEGIN { wanted = 1 }
  /^\[/ { gsub(/[][ ]/, ""); wanted = index(sections, " " $0 " "); next }
  wanted' | tr -s '[:space:]' '\n' | sed '/^$/d')
# dpkg-query exits 1 when it doesn't know one of them; what it prints is still right.
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null |
  sed -n 's/ installed$//p' || true)
missing=""
for package in $packages; do
  case " ${installed//$'\n'/ } " in
    *" $package "*) ;;
    *) missing+="$package " ;;
  esac
done
[ -n "$missing" ] || exit 0

install_line="apt-get install -y --no-remove --no-install-recommends $missing"
give_up() {
  printf '%s\n' "conf/install.sh: $1" "Run this as root, then try again:" "" \
    "  apt-get update && $install_line" "" \
    "(libboost1.81-dev excludes libboost1.74-dev: remove that one first if apt complains.)" >&2
  exit 1
}

command -v apt-get >/dev/null || give_up "no apt-get here; packages are missing: $missing"
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || give_up "packages are missing, and this is neither root nor is there sudo"
  # Without a terminal nobody could type a password.
  sudo -n true 2>/dev/null || [ -t 0 ] ||
    give_up "packages are missing, and sudo wants a password but there is no terminal"
  as_root=(sudo)
fi

echo "installing: $missing"
as_root+=(env DEBIAN_FRONTEND=noninteractive)
# A broken source that has nothing to do with us must not stop the installation.
"${as_root[@]}" apt-get update -q || echo "apt-get update failed, going on with the lists there are" >&2
"${as_root[@]}" $install_line || give_up "apt-get could not install: $missing"
