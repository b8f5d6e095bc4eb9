package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/internal/datadir"
)

func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(datadir.Options{Path: path, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenMakesPrivateDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parent", "data")
	d := open(t, path)
	modes := map[string]os.FileMode{}
	for _, name := range []string{"", "format", "lock"} {
		info, err := os.Stat(d.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		modes[name] = info.Mode().Perm()
	}
	want := map[string]os.FileMode{"": 0o700, "format": 0o600, "lock": 0o600}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	if got, want := d.Path("pki", "ca.crt"), filepath.Join(path, "pki", "ca.crt"); got != want {
		t.Errorf("Path = %s, want %s", got, want)
	}
}

func TestOpenAgainAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d := open(t, path)
	write(t, d.Path("state"), "kept")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, path)
	got, err := os.ReadFile(d.Path("state"))
	if err != nil || string(got) != "kept" {
		t.Errorf("state after reopening = %q, %v; want it kept", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		minFree uint64
		want    error
		advice  string // part of the message that tells what to do
	}{
		{
			name: "somebody's files are not overwritten",
			prepare: func(t *testing.T, path string) {
				mkdir(t, path, 0o755) // it is not ours to close either
				write(t, filepath.Join(path, "thesis.txt"), "all of it")
			},
			want: datadir.ErrNotOurs, advice: "choose an empty or a new directory",
		},
		{
			name:    "a file in its place",
			prepare: func(t *testing.T, path string) { write(t, path, "") },
			want:    nil, advice: "choose another place",
		},
		{
			name:    "group access shows keys to others",
			prepare: func(t *testing.T, path string) { mkdir(t, path, 0o750) },
			want:    datadir.ErrAccess, advice: "run chmod 700 ",
		},
		{
			name:    "world access shows keys to others",
			prepare: func(t *testing.T, path string) { mkdir(t, path, 0o701) },
			want:    datadir.ErrAccess, advice: "run chmod 700 ",
		},
		{
			name: "a newer layout is not read as an old one",
			prepare: func(t *testing.T, path string) {
				mkdir(t, path, 0o700)
				write(t, filepath.Join(path, "format"), datadir.FormatMarker(datadir.Format+1))
			},
			want: datadir.ErrNewer, advice: "run the newer release",
		},
		{
			name: "a marker of something else",
			prepare: func(t *testing.T, path string) {
				mkdir(t, path, 0o700)
				write(t, filepath.Join(path, "format"), "1\n")
			},
			want: datadir.ErrNotOurs, advice: "choose another --data-dir",
		},
		{
			name:    "a full disk is found before etcd finds it",
			prepare: func(t *testing.T, path string) { mkdir(t, path, 0o700) },
			minFree: 1 << 62,
			want:    datadir.ErrFull, advice: "make room",
		},
		{
			name: "a lock file that points elsewhere is not followed",
			prepare: func(t *testing.T, path string) {
				mkdir(t, path, 0o700)
				if err := os.Symlink(filepath.Join(path, "..", "victim"), filepath.Join(path, "lock")); err != nil {
					t.Fatal(err)
				}
			},
			advice: "lock the data directory",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			tt.prepare(t, path)
			before := tree(t, filepath.Dir(path))
			minFree := tt.minFree
			if minFree == 0 {
				minFree = 1
			}
			_, err := datadir.Open(datadir.Options{Path: path, MinFree: minFree})
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			for _, part := range []string{path, tt.advice} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
			if diff := cmp.Diff(before, tree(t, filepath.Dir(path))); diff != "" {
				t.Errorf("a refused directory was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestOpenRefusesStrangersDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	path := filepath.Join(t.TempDir(), "data")
	mkdir(t, path, 0o700)
	if err := os.Chown(path, 1, 1); err != nil {
		t.Fatal(err)
	}
	_, err := datadir.Open(datadir.Options{Path: path, MinFree: 1})
	if !errors.Is(err, datadir.ErrAccess) || !strings.Contains(err.Error(), "belongs to user 1 ") {
		t.Errorf("error = %v, want one that names the owner", err)
	}
}

func TestOpenNamesTheHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	open(t, path)
	// A second open file has a lock of its own, so this process can stand for another one.
	_, err := datadir.Open(datadir.Options{Path: path, MinFree: 1})
	if !errors.Is(err, datadir.ErrInUse) || !strings.Contains(err.Error(), "the process "+strconv.Itoa(os.Getpid())+":") {
		t.Errorf("error = %v, want one that names process %d", err, os.Getpid())
	}
}

func TestOpenFinishesFirstStartThatWasKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	mkdir(t, path, 0o700)
	write(t, filepath.Join(path, "lock"), "4711\n")
	write(t, filepath.Join(path, ".format-123"), "gateh")
	d := open(t, path)
	if got, err := os.ReadFile(d.Path("format")); err != nil || string(got) != "gatehouse-data 1\n" {
		t.Errorf("marker = %q, %v", got, err)
	}
}

func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if _, err := datadir.Look(path); !errors.Is(err, datadir.ErrNone) {
		t.Errorf("missing directory: error = %v, want ErrNone", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Look made the directory: %v", err)
	}
	mkdir(t, path, 0o700)
	if _, err := datadir.Look(path); !errors.Is(err, datadir.ErrNone) {
		t.Errorf("empty directory: error = %v, want ErrNone", err)
	}
	held := open(t, path)
	seen, err := datadir.Look(path)
	if err != nil {
		t.Fatalf("a directory in use cannot be looked at: %v", err)
	}
	if seen.Path() != held.Path() {
		t.Errorf("path = %s, want %s", seen.Path(), held.Path())
	}
	if err := seen.Close(); err != nil {
		t.Error(err)
	}
	if _, err := datadir.Open(datadir.Options{Path: path, MinFree: 1}); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("closing what was looked at gave the lock away: %v", err)
	}
}

func FuzzParseMarker(f *testing.F) {
	for _, seed := range []string{"", "gatehouse-data 1\n", "gatehouse-data 1", "gatehouse-data 01\n", "gatehouse-data +1\n", "gatehouse-data 0\n", "gatehouse-data 99999999999999999999\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		version, err := datadir.ParseMarker(text)
		if err != nil {
			if !errors.Is(err, datadir.ErrNotOurs) {
				t.Errorf("error = %v, want ErrNotOurs", err)
			}
			return
		}
		if again := datadir.FormatMarker(version); again != text || version < 1 {
			t.Errorf("%q was read as version %d, which is written %q", text, version, again)
		}
	})
}

func mkdir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

// tree lists the files below dir with their contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.Type().IsRegular() {
			files[path] = e.Type().String()
			return nil
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
