package policies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	policyPackage = "gatehouse.policy"
	helperPackage = "gatehouse.lib"
	// maxRegexes bounds the compiled patterns that a set keeps for the builtins that take one.
	maxRegexes = 1000
)

// Set is a compiled, immutable collection of policies. It is safe for concurrent use.
type Set struct {
	policies  []*policy // every policy, also those that are off, by name
	validate  *index
	mutate    *index
	authorize *index
	compiler  *ast.Compiler
	store     storage.Store
	txn       storage.Transaction // a read transaction on the store, which is empty and never written
	patterns  cache.InterQueryValueCache
	names     vocabulary // of the needs of all validate policies
	digest    string
}

// policy is one compiled policy with its configuration applied.
type policy struct {
	name, file         string
	title, description string
	library            bool
	meta               Metadata
	declared           Action          // the action in the policy's own metadata
	selector           labels.Selector // nil selects everything
	keys               map[key]struct{}
	parameters         *ast.Term
	query              ast.Body
	queryCompiler      ast.QueryCompiler
	need               numbered // nil is nothing
}

// Info describes one policy of a set.
type Info struct {
	Name, Title, Description string
	// File is the policy's source, "library/..." for an embedded one.
	File     string
	Metadata Metadata // with the configuration applied
}

// Compile builds the set of the library and the bundle. All faults that can be seen together are reported together, each
// as FILE:LINE:COLUMN: MESSAGE.
func Compile(b Bundle) (*Set, error) {
	lib, err := ReadBundle(library())
	if err != nil {
		return nil, fmt.Errorf("library: %w", err)
	}
	for i := range lib.Sources {
		lib.Sources[i].Name = "library/" + lib.Sources[i].Name
	}
	s := &Set{store: inmem.New()}
	if s.digest, err = b.digest(lib.Sources); err != nil {
		return nil, err
	}
	modules, err := s.parse(lib.Sources, b.Sources)
	if err != nil {
		return nil, err
	}
	if err := s.configure(lib.Config, b); err != nil {
		return nil, err
	}
	if err := s.compile(modules); err != nil {
		return nil, err
	}
	s.index()
	return s, nil
}

// parse reads all modules and makes a policy of each that is one.
func (s *Set) parse(lib, user []Source) (map[string]*ast.Module, error) {
	caps := capabilities()
	modules := map[string]*ast.Module{}
	packages := map[string]string{}
	var errs []error
	for i, src := range slices.Concat(lib, user) {
		m, err := ast.ParseModuleWithOpts(src.Name, string(src.Text), ast.ParserOptions{
			Capabilities: caps, ProcessAnnotation: true, RegoVersion: ast.RegoV1,
		})
		if err != nil {
			errs = append(errs, located(err))
			continue
		}
		name := m.Package.Path.String()
		if other, taken := packages[name]; taken {
			errs = append(errs, fmt.Errorf("%s: package %s is taken by %s", at(m.Package.Location), strings.TrimPrefix(name, "data."), other))
			continue
		}
		packages[name], modules[src.Name] = src.Name, m
		if strings.HasPrefix(name, "data."+helperPackage+".") {
			continue
		}
		p, err := newPolicy(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.library = i < len(lib)
		s.policies = append(s.policies, p)
	}
	slices.SortFunc(s.policies, func(a, b *policy) int { return strings.Compare(a.name, b.name) })
	return modules, errors.Join(errs...)
}

// newPolicy reads the package and the annotations of a module.
func newPolicy(m *ast.Module) (*policy, error) {
	loc := m.Package.Location
	if len(m.Package.Path) != 4 || !strings.HasPrefix(m.Package.Path.String(), "data."+policyPackage+".") {
		return nil, fmt.Errorf("%s: package is %s, want %s.NAME for a policy or %s.NAME for helpers",
			at(loc), strings.TrimPrefix(m.Package.Path.String(), "data."), policyPackage, helperPackage)
	}
	tail, ok := m.Package.Path[3].Value.(ast.String)
	if !ok || !isName(string(tail)) {
		return nil, fmt.Errorf("%s: the last part of the package must be a lower-case name such as no_latest_tag", at(loc))
	}
	p := &policy{name: strings.ReplaceAll(string(tail), "_", "-"), file: loc.File}
	i := slices.IndexFunc(m.Annotations, func(a *ast.Annotations) bool { return a.Scope == "package" })
	if i < 0 {
		return nil, fmt.Errorf("%s: there is no METADATA comment above the package", at(loc))
	}
	a := m.Annotations[i]
	p.title, p.description = a.Title, strings.TrimSpace(a.Description)
	var err error
	if p.meta, err = decodeMetadata(a.Custom); err != nil {
		return nil, fmt.Errorf("%s: METADATA custom: %w", at(a.Location), err)
	}
	p.declared = p.meta.Action
	return p, p.checkEntry(m)
}

func isName(s string) bool {
	return s != "" && len(s) <= 63 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// entry is the rule that the policy's type asks for.
func (p *policy) entry() string {
	if p.meta.Type == Mutate {
		return "patch"
	}
	return "deny"
}

// checkEntry refuses a module without its entry rule, or with one of another form: it would never deny.
func (p *policy) checkEntry(m *ast.Module) error {
	found := false
	for _, r := range m.Rules {
		if r.Head.Ref().String() != p.entry() {
			continue
		}
		found = true
		list := p.meta.Type == Mutate && r.Head.RuleKind() == ast.SingleValue && len(r.Head.Args) == 0
		if r.Head.RuleKind() != ast.MultiValue && !list {
			return fmt.Errorf("%s: rule %s must be a set, as in %s contains message if condition", at(r.Location), p.entry(), p.entry())
		}
	}
	if !found {
		return fmt.Errorf("%s: a policy of type %s must have a rule %s", at(m.Package.Location), p.meta.Type, p.entry())
	}
	return nil
}

// configure applies the library's configuration and then the user's.
func (s *Set) configure(defaults *Configuration, b Bundle) error {
	byName := map[string]*policy{}
	for _, p := range s.policies {
		byName[p.name] = p
		if p.library {
			p.meta.Action = ActionOff
		}
	}
	var errs []error
	set := func(file string, c *Configuration) {
		if c == nil {
			return
		}
		for i, entry := range c.Policies {
			p, ok := byName[entry.Name]
			if !ok {
				errs = append(errs, fmt.Errorf("%s: policies[%d]: there is no policy %q%s", file, i, entry.Name,
					suggest(entry.Name, slices.Collect(maps.Keys(byName)))))
				continue
			}
			if entry.Action == "" && p.meta.Action == ActionOff {
				entry.Action = p.declared
			}
			meta, err := entry.apply(p.meta)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: policies[%d] (%s): %w", file, i, entry.Name, err))
				continue
			}
			p.meta = meta
		}
	}
	if !b.NoDefaults {
		set("library/"+ConfigFile, defaults)
	}
	set(ConfigFile, b.Config)
	return errors.Join(errs...)
}

func (s *Set) compile(modules map[string]*ast.Module) error {
	s.compiler = ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true).WithDefaultRegoVersion(ast.RegoV1)
	if s.compiler.Compile(modules); s.compiler.Failed() {
		return located(s.compiler.Errors)
	}
	if err := s.checkReferences(); err != nil {
		return err
	}
	ctx := context.Background()
	var err error
	if s.txn, err = s.store.NewTransaction(ctx); err != nil {
		return err
	}
	limit := maxRegexes
	s.patterns = cache.NewInterQueryValueCache(ctx, &cache.Config{
		InterQueryBuiltinValueCache: cache.InterQueryBuiltinValueCacheConfig{MaxNumEntries: &limit},
	})
	for _, p := range s.policies {
		if err := s.prepare(p); err != nil {
			return fmt.Errorf("%s: %w", p.file, err)
		}
	}
	return s.findNeeds()
}

// findNeeds looks through the validate policies for what an object must have to violate them.
func (s *Set) findNeeds() error {
	a, err := newAnalysis(s)
	if err != nil {
		return err
	}
	s.names = vocabulary{exact: map[string]int{}}
	for _, p := range s.policies {
		if p.meta.Type != Validate {
			continue
		}
		if n := a.anyOf(s.compiler.GetRulesExact(p.ref())); !n.isNothing() {
			p.need = s.names.numbered(n)
		}
	}
	return nil
}

// ref is the path of the entry rule.
func (p *policy) ref() ast.Ref {
	return ast.MustParseRef("data." + policyPackage).Append(ast.StringTerm(strings.ReplaceAll(p.name, "-", "_"))).Append(ast.StringTerm(p.entry()))
}

// prepare compiles the policy's query and everything else that reviews share.
func (s *Set) prepare(p *policy) error {
	p.queryCompiler = s.compiler.QueryCompiler()
	query, err := p.queryCompiler.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(p.ref()), ast.VarTerm(resultVar))))
	if err != nil {
		return err
	}
	p.query = query
	if p.parameters, err = parametersTerm(p.meta.Parameters); err != nil {
		return err
	}
	p.keys = keysOf(p.meta.Type, p.meta.Match)
	p.selector, err = selectorOf(p.meta.Match.NamespaceSelector)
	return err
}

func parametersTerm(parameters map[string]any) (*ast.Term, error) {
	if parameters == nil {
		parameters = map[string]any{}
	}
	v, err := ast.InterfaceToValue(parameters)
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(v), nil
}

func (s *Set) index() {
	byType := map[Type][]*policy{}
	for _, p := range s.policies {
		if p.meta.Action != ActionOff {
			byType[p.meta.Type] = append(byType[p.meta.Type], p)
		}
	}
	s.validate, s.mutate, s.authorize = buildIndex(byType[Validate]), buildIndex(byType[Mutate]), buildIndex(byType[Authorize])
}

// Digest identifies the sources and the configuration: "sha256:" and hexadecimal digits.
func (s *Set) Digest() string { return s.digest }

// Policies describes every policy, by name; one that is off has the action off.
func (s *Set) Policies() []Info {
	infos := make([]Info, len(s.policies))
	for i, p := range s.policies {
		infos[i] = Info{Name: p.name, Title: p.title, Description: p.description, File: p.file, Metadata: p.meta}
	}
	return infos
}

// located rewrites the errors of the Rego parser and compiler, one to a line.
func located(err error) error {
	var list ast.Errors
	if !errors.As(err, &list) {
		return err
	}
	errs := make([]error, len(list))
	for i, e := range list {
		errs[i] = fmt.Errorf("%s: %s", at(e.Location), e.Message)
	}
	return errors.Join(errs...)
}

func at(l *ast.Location) string {
	if l == nil {
		return "policy"
	}
	return fmt.Sprintf("%s:%d:%d", l.File, l.Row, l.Col)
}
