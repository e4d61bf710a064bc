# Sets CHROMIUM, for the browser tests, to the browser of this machine. Sourced.
for name in chromium chromium-browser google-chrome google-chrome-stable "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
  [ -n "${CHROMIUM-}" ] || CHROMIUM=$(command -v "$name") || unset CHROMIUM
done
[ -z "${CHROMIUM-}" ] || export CHROMIUM
