package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Format is the version of the layout that this release writes and the highest that it reads.
const Format = 1

const (
	markerWord = "gatehouse-data "
	// maxMarkerBytes bounds what is read of a marker.
	maxMarkerBytes = 64
	tempPrefix     = ".format-"
)

// FormatMarker is the content of the marker of a layout version.
func FormatMarker(version int) string { return markerWord + strconv.Itoa(version) + "\n" }

// ParseMarker returns the layout version that a marker states. It accepts what FormatMarker writes for a version from 1
// on and nothing else.
func ParseMarker(text string) (version int, err error) {
	number, ok := strings.CutPrefix(text, markerWord)
	if !ok {
		return 0, ErrNotOurs
	}
	version, err = strconv.Atoi(strings.TrimSuffix(number, "\n"))
	if err != nil || version < 1 || FormatMarker(version) != text {
		return 0, ErrNotOurs
	}
	return version, nil
}

// checkMarker returns an error that is fs.ErrNotExist if there is no marker.
func checkMarker(dir string) error {
	path := filepath.Join(dir, markerName)
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the marker: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMarkerBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the marker %s: %w", path, err)
	}
	version, err := ParseMarker(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: the file %s is not our marker: choose another --data-dir", dir, err, markerName)
	case version > Format:
		return fmt.Errorf("%s: %w: its format is %d and this release reads up to %d: run the newer release", dir, ErrNewer, version, Format)
	}
	return nil
}

// ensureMarker writes the marker of a new directory. The caller holds the lock.
func ensureMarker(dir string) error {
	if err := checkMarker(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeDurably(dir, markerName, FormatMarker(Format)); err != nil {
		return fmt.Errorf("mark %s as a data directory: %w", dir, plain(err))
	}
	return nil
}

// writeDurably makes a file that is either absent or whole, and on disk when it returns.
func writeDurably(dir, name, text string) (err error) {
	tmp, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.WriteString(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
