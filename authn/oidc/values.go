package oidc

import (
	"encoding/json"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"

	"github.com/gatehouse/gatehouse/api"
)

// claimsValue is what expressions know as claims. A claim is read when an expression looks at it.
func claimsValue(c claims) *lazy.MapValue {
	m := lazy.NewMapValue(types.NewObjectType("kubernetes.claims"))
	for name, raw := range c {
		m.Append(name, func(*lazy.MapValue) ref.Val {
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				return types.NewErr("claim %q failed to unmarshal: %w", name, err)
			}
			return native(v)
		})
	}
	return m
}

// userValue is what expressions know as user.
func userValue(u *api.User) *lazy.MapValue {
	m := lazy.NewMapValue(types.NewObjectType("kubernetes.UserInfo"))
	for name, value := range map[string]any{"username": u.Name, "uid": u.UID, "groups": u.Groups, "extra": u.Extra} {
		m.Append(name, func(*lazy.MapValue) ref.Val { return native(value) })
	}
	return m
}

func native(v any) ref.Val { return escapable(types.DefaultTypeAdapter.NativeToValue(v)) }

// escapable lets expressions reach members whose names are no identifiers, at any depth: a dot is written __dot__, and so on.
func escapable(v ref.Val) ref.Val {
	switch v := v.(type) {
	case traits.Mapper:
		return &escapableMap{v}
	case traits.Lister:
		return &escapableList{v}
	}
	return v
}

type escapableMap struct{ traits.Mapper }

// Find implements [traits.Mapper].
func (m *escapableMap) Find(key ref.Val) (ref.Val, bool) {
	if name, ok := key.(types.String); ok {
		if plain, ok := apiservercel.Unescape(string(name)); ok {
			key = types.String(plain)
		}
	}
	v, ok := m.Mapper.Find(key)
	return escapable(v), ok
}

type escapableList struct{ traits.Lister }

// Get implements [traits.Lister].
func (l *escapableList) Get(index ref.Val) ref.Val { return escapable(l.Lister.Get(index)) }
