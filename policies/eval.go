package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds of what one review returns. Text beyond a bound is cut, violations beyond it are counted in one last message.
const (
	MaxViolations   = 32   // of one policy
	MaxMessageBytes = 1024 // of one message
	MaxFieldBytes   = 256  // of one field path
)

// resultVar is the variable that a policy's query binds its answer to.
const resultVar = "result"

// Violation is one reason of one policy against a review.
type Violation struct {
	// Policy is the policy's name.
	Policy string
	// Message is for the client.
	Message string
	// Field is the path of the offending field, such as spec.containers[0].image; may be empty.
	Field string
	// Action says what it leads to.
	Action Action
}

// String returns the message with the field behind it.
func (v Violation) String() string {
	if v.Field == "" {
		return v.Message
	}
	return v.Message + " (" + v.Field + ")"
}

// errPanic is in the chain of the error of an evaluation that panicked.
var errPanic = errors.New("evaluation panicked")

// evaluation is one request's use of a set: its deadline is shared by all policies asked.
type evaluation struct {
	set     *Set
	values  *values
	ctx     context.Context
	cancel  topdown.Cancel
	seconds *prometheus.HistogramVec
}

// eval runs the policy's query. A nil term means that the entry rule is undefined.
func (e *evaluation) eval(p *policy, input ast.Value) (result *ast.Term, err error) {
	start := time.Now()
	defer func() {
		e.seconds.WithLabelValues(p.name).Observe(time.Since(start).Seconds())
		if r := recover(); r != nil {
			result, err = nil, fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	if err := context.Cause(e.ctx); err != nil {
		return nil, err
	}
	q := topdown.NewQuery(p.query).
		WithQueryCompiler(p.queryCompiler).
		WithCompiler(e.set.compiler).
		WithStore(e.set.store).
		WithTransaction(e.set.txn).
		WithInput(ast.NewTerm(input)).
		WithCancel(e.cancel).
		WithMetrics(metrics.NoOp()).
		WithInterQueryBuiltinValueCache(e.set.patterns).
		WithStrictBuiltinErrors(true).
		WithTime(time.Unix(0, 0)). // no policy can ask for the time; a fixed one saves reading the clock
		WithSeed(strings.NewReader(""))
	err = q.Iter(e.ctx, func(r topdown.QueryResult) error {
		result = r[resultVar]
		return nil
	})
	if err != nil {
		if cause := context.Cause(e.ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	return result, nil
}

// violations reads the answer of a deny rule: a set of strings, or of objects with msg and, if they like, field and action. The action of
// an object can only be milder than the policy's. The order is by field and message.
func (p *policy) violations(result *ast.Term) ([]Violation, error) {
	if result == nil {
		return nil, nil
	}
	set, ok := result.Value.(ast.Set)
	if !ok {
		return nil, fmt.Errorf("%s is %s, want a set", p.entry(), ast.ValueName(result.Value))
	}
	all := make([]Violation, 0, set.Len())
	err := set.Iter(func(t *ast.Term) error {
		v, err := p.violation(t.Value)
		all = append(all, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Violation) int {
		if c := strings.Compare(a.Field, b.Field); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	if extra := len(all) - MaxViolations; extra > 0 {
		strictest := all[0].Action
		for _, v := range all[MaxViolations:] {
			if strictest.milder(v.Action) {
				strictest = v.Action
			}
		}
		all = append(all[:MaxViolations], Violation{Policy: p.name, Message: fmt.Sprintf("and %d more", extra), Action: strictest})
	}
	return all, nil
}

func (p *policy) violation(value ast.Value) (Violation, error) {
	v := Violation{Policy: p.name, Action: p.meta.Action}
	switch t := value.(type) {
	case ast.String:
		v.Message = string(t)
	case ast.Object:
		var action string
		err := t.Iter(func(k, term *ast.Term) error {
			s, isString := term.Value.(ast.String)
			name, _ := k.Value.(ast.String)
			target, known := map[ast.String]*string{"msg": &v.Message, "field": &v.Field, "action": &action}[name]
			if !isString || !known {
				return fmt.Errorf("violation has %v, want strings msg, field and action", k)
			}
			*target = string(s)
			return nil
		})
		if err != nil {
			return v, err
		}
		if a := Action(action); a.milder(v.Action) {
			v.Action = a
		}
	default:
		return v, fmt.Errorf("violation is %s, want a string or an object", ast.ValueName(value))
	}
	if v.Message == "" {
		return v, errors.New("violation has no message")
	}
	v.Message, v.Field = oneLine(v.Message, MaxMessageBytes), oneLine(v.Field, MaxFieldBytes)
	return v, nil
}

// oneLine is a text of a policy's in at most n bytes, without what could forge lines.
func oneLine(text string, n int) string { return api.Line(api.Shorten(text, n)) }
