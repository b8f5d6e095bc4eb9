package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"
)

// segments are the files of the log. They belong to the committer.
type segments struct {
	path       string // empty for a stream
	maxSize    int64  // 0: never rotate
	maxBackups int    // 0: keep all
	maxAge     time.Duration
	wrap       func(file) file // nil outside tests

	f       *os.File // nil for a stream
	file    file     // what is written to
	retired []string // to be removed once the notice that says so is durable
}

// create makes an empty active segment. It fails if there is a file already.
func (s *segments) create() error {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(s.use(f), syncDir(s.path))
}

// use makes f the active segment and closes the one before.
func (s *segments) use(f *os.File) error {
	old := s.f
	s.f, s.file = f, segmentFile{f}
	if s.wrap != nil {
		s.file = s.wrap(s.file)
	}
	if old == nil {
		return nil
	}
	return old.Close()
}

func (s *segments) close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}

// errResized says that somebody else cut or extended the file that is being written.
var errResized = errors.New("its size was changed by somebody else while it was being written")

// check finds out whether the file being written is still the one at its path, and as long as what was written: records in a
// file that nobody can find are lost. The error is fs.ErrNotExist if nothing is there.
func (s *segments) check(size int64) error {
	if s.f == nil {
		return nil
	}
	there, err := os.Lstat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit: the log %s was removed while it was being written: %w", s.path, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	own, err := s.f.Stat()
	switch {
	case err != nil:
		return err
	case !os.SameFile(there, own):
		return fmt.Errorf("audit: the log %s was replaced by another file while it was being written; move that file away", s.path)
	case own.Size() != size:
		return fmt.Errorf("audit: the log %s: %w (%d bytes, expected %d)", s.path, errResized, own.Size(), size)
	}
	return nil
}

// shorter reports whether bytes before size are gone, or cannot be known to be there.
func (s *segments) shorter(size int64) bool {
	info, err := s.f.Stat()
	return err != nil || info.Size() < size
}

func (s *segments) full(size, incoming int64) bool {
	return s.path != "" && s.maxSize > 0 && size > 0 && size+incoming > s.maxSize
}

// rotate gives the active segment a name with the time and begins an empty one. The new file exists before the old one is
// renamed, so that a full disk is noticed while the log is still in its place. After a crash between the two
// renames there is no active segment, which the next start creates.
func (s *segments) rotate(now time.Time) error {
	older, err := rotated(s.path)
	if err != nil {
		return err
	}
	if len(older) > 0 { // names keep the order of the chain even if the clock goes back
		if last := rotatedAt(s.path, older[len(older)-1]); !now.After(last) {
			now = last.Add(time.Microsecond)
		}
	}
	next, err := os.OpenFile(s.path+suffixNext, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	name := s.path + "-" + now.UTC().Truncate(time.Microsecond).Format(segmentTime)
	if taken, err := exists(name); taken || err != nil {
		return errors.Join(fmt.Errorf("audit: %s exists already", name), err, next.Close())
	}
	if err := os.Rename(s.path, name); err != nil {
		return errors.Join(err, next.Close())
	}
	if err := os.Rename(s.path+suffixNext, s.path); err != nil {
		return errors.Join(err, os.Rename(name, s.path), next.Close())
	}
	return errors.Join(s.use(next), syncDir(s.path))
}

// retire chooses the segments that are too many or too old and returns the event that says so. The newest rotated segment always
// stays, because the checkpoint may lie in it.
func (s *segments) retire(now time.Time) ([]byte, error) {
	files, err := rotated(s.path)
	if err != nil {
		return nil, err
	}
	n := 0
	for n < len(files)-1 && (s.maxBackups > 0 && len(files)-n > s.maxBackups ||
		s.maxAge > 0 && now.Sub(rotatedAt(s.path, files[n])) > s.maxAge) {
		n++
	}
	if n == 0 {
		return nil, nil
	}
	next, err := firstSeq(files[n])
	if err != nil {
		return nil, err
	}
	s.retired = files[:n]
	return notice(now, "segments-removed", map[string]string{
		AnnotationRemovedThrough:      strconv.FormatUint(next-1, 10),
		AnnotationPrefix + "segments": strconv.Itoa(n),
	}), nil
}

// removeRetired removes what retire chose. What cannot be removed is chosen again at the next rotation.
func (s *segments) removeRetired(logger *slog.Logger) {
	for _, name := range s.retired {
		if err := os.Remove(name); err != nil {
			logger.Error("an old audit segment cannot be removed", "error", err)
		}
	}
	s.retired = nil
}
