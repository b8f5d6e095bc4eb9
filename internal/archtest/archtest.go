// Package archtest holds the rules of the project's shape: which package may import which, and what no
// package may do. The rules of imports are not written here but in the picture of docs/architecture.md, so
// that the picture cannot be wrong.
//
// The picture is a fenced block marked "lattice". Each of its lines names packages; a package may
// import only packages on lines below its own. "dir/*" stands for every package directly under dir, each
// on its own. A child (authz/rbac) stands on its parent's line, may import its parent, and is imported
// only by packages on the first line. Tests may import anything.
//
// The package reads source text only: it runs no tool and needs nothing that compiles.
package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Lattice is the picture: names by line, highest first.
type Lattice struct{ lines [][]string }

// ParseLattice reads the one block marked "lattice" of a Markdown document. A name that stands twice is an error.
func ParseLattice(document string) (Lattice, error) {
	_, rest, found := strings.Cut(document, "\n```lattice\n")
	block, after, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		return Lattice{}, errors.New("archtest: the document has no closed block marked lattice")
	}
	if strings.Contains(after, "\n```lattice\n") {
		return Lattice{}, errors.New("archtest: the document has two blocks marked lattice")
	}
	var l Lattice
	seen := map[string]bool{}
	for line := range strings.SplitSeq(block, "\n") {
		names := strings.Fields(line)
		for _, name := range names {
			if seen[name] {
				return Lattice{}, fmt.Errorf("archtest: %s stands twice in the picture", name)
			}
			seen[name] = true
		}
		if len(names) > 0 {
			l.lines = append(l.lines, names)
		}
	}
	if len(l.lines) == 0 {
		return Lattice{}, errors.New("archtest: the picture is empty")
	}
	return l, nil
}

// Names returns every name of the picture, from top to bottom.
func (l Lattice) Names() []string { return slices.Concat(l.lines...) }

// place finds the line of a package and the package of the picture that it is or belongs to. Line 0 is the highest.
func (l Lattice) place(pkg string) (line int, top string, ok bool) {
	for i, names := range l.lines {
		for _, name := range names {
			if dir, all := strings.CutSuffix(name, "/*"); all {
				if rest, under := strings.CutPrefix(pkg, dir+"/"); under {
					first, _, _ := strings.Cut(rest, "/")
					return i, dir + "/" + first, true
				}
			} else if pkg == name || strings.HasPrefix(pkg, name+"/") {
				return i, name, true
			}
		}
	}
	return 0, "", false
}

// Refuse says why from may not import to, both relative to the module; empty means that it may.
func (l Lattice) Refuse(from, to string) string {
	fromLine, fromTop, ok := l.place(from)
	if !ok {
		return "the importing package is not in the picture"
	}
	toLine, toTop, ok := l.place(to)
	switch {
	case !ok:
		return "the imported package is not in the picture"
	case fromTop == toTop:
		if from != to && strings.HasPrefix(from, to+"/") {
			return ""
		}
		if fromLine == 0 {
			return "" // A command may be split as it likes.
		}
		return "of one family only a child may import its parent"
	case fromLine == toLine:
		return "both stand on one line"
	case fromLine > toLine:
		return "the imported package stands above"
	case to != toTop && fromLine != 0:
		return "only commands and tests import a child"
	}
	return ""
}

// Package is what the source text of one package says, its tests left out.
type Package struct {
	// Path is relative to the module; "." is its root.
	Path string
	// Name is the name in the package clauses.
	Name string
	// Imports are the import paths, sorted.
	Imports []string
	// Inits are the positions of its init functions.
	Inits []string
}

// Load reads the packages of the module whose root is fsys. Nested modules, testdata and hidden directories are
// not part of it.
func Load(fsys fs.FS) ([]Package, error) {
	byPath := map[string]*Package{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(fsys, name)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		p := byPath[path.Dir(name)]
		if p == nil {
			p = &Package{Path: path.Dir(name)}
			byPath[p.Path] = p
		}
		return p.add(fsys, name)
	})
	if err != nil {
		return nil, fmt.Errorf("archtest: read the module: %w", err)
	}
	var all []Package
	for _, p := range byPath {
		slices.Sort(p.Imports)
		p.Imports = slices.Compact(p.Imports)
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// enter decides whether a directory belongs to the module.
func enter(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	if base := path.Base(dir); base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	switch {
	case err == nil:
		return fs.SkipDir
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func (p *Package) add(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p.Name = file.Name.Name
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		p.Imports = append(p.Imports, imported)
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			p.Inits = append(p.Inits, set.Position(f.Pos()).String())
		}
	}
	return nil
}

// Rules are what holds beside the picture.
type Rules struct {
	// Module is the module's path.
	Module string
	// Only lists, for a package of the module, the names of the picture that alone may import it.
	Only map[string][]string
	// Forbidden are prefixes of import paths, with the reason why nothing may import them.
	Forbidden map[string]string
	// Libraries are packages under a forbidden prefix that may be imported all the same, each by its full path.
	Libraries []string
	// Names are package names that say nothing.
	Names []string
}

// Check returns one line for each breach.
func (l Lattice) Check(rules Rules, packages []Package) []string {
	var breaches []string
	for _, p := range packages {
		if slices.Contains(rules.Names, p.Name) {
			breaches = append(breaches, fmt.Sprintf("%s: the name %s says nothing", p.Path, p.Name))
		}
		for _, pos := range p.Inits {
			breaches = append(breaches, fmt.Sprintf("%s: init function", pos))
		}
		for _, imported := range p.Imports {
			if why := l.refuseImport(rules, p.Path, imported); why != "" {
				breaches = append(breaches, fmt.Sprintf("%s imports %s: %s", p.Path, imported, why))
			}
		}
	}
	return breaches
}

func (l Lattice) refuseImport(rules Rules, from, imported string) string {
	for prefix, why := range rules.Forbidden {
		if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && !slices.Contains(rules.Libraries, imported) {
			return why
		}
	}
	to, ours := strings.CutPrefix(imported, rules.Module+"/")
	if !ours {
		return ""
	}
	if why := l.Refuse(from, to); why != "" {
		return why
	}
	for target, allowed := range rules.Only {
		if to != target && !strings.HasPrefix(to, target+"/") {
			continue
		}
		if line, top, _ := l.place(from); line != 0 && top != target && !slices.Contains(allowed, top) {
			return "only " + strings.Join(allowed, ", ") + " and commands may import " + target
		}
	}
	return ""
}
