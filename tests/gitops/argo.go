package main

import (
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const unknown = "Unknown"

var argoStatuses = []string{"Healthy", "Progressing", "Degraded", "Suspended", "Missing", unknown}

// argoHealth takes every mistake of a script for Unknown, as Argo CD does.
func argoHealth(script string) judge {
	return func(object *unstructured.Unstructured) (any, error) {
		returned, err := runScript(script, object)
		if err != nil {
			return health{unknown, err.Error()}, nil
		}
		answer := health{}
		if err := convert(returned, &answer); err != nil {
			return health{unknown, err.Error()}, nil
		}
		if !slices.Contains(argoStatuses, answer.Status) {
			return health{unknown, "the script returned an invalid status"}, nil
		}
		return answer, nil
	}
}

// argoActions says for each action that a discovery script offers whether it is enabled.
func argoActions(script string) judge {
	return func(object *unstructured.Unstructured) (any, error) {
		returned, err := runScript(script, object)
		if err != nil {
			return nil, err
		}
		actions := map[string]bool{}
		if empty, is := returned.([]any); is && len(empty) == 0 {
			return actions, nil
		}
		offered := map[string]struct {
			Disabled bool `json:"disabled"`
		}{}
		if err := convert(returned, &offered); err != nil {
			return nil, err
		}
		for name, action := range offered {
			actions[name] = !action.Disabled
		}
		return actions, nil
	}
}

// argoAction makes the merge patch from an object to what an action's script returns.
func argoAction(script string) judge {
	return func(object *unstructured.Unstructured) (any, error) {
		returned, err := runScript(script, object)
		if err != nil {
			return nil, err
		}
		changed, is := returned.(map[string]any)
		if !is {
			return nil, fmt.Errorf("the script didn't return the object")
		}
		before, err := json.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		after, err := json.Marshal(refill(changed, object.Object))
		if err != nil {
			return nil, err
		}
		patch, err := jsonpatch.CreateMergePatch(before, after)
		return json.RawMessage(patch), err
	}
}

// refill undoes what comes of Lua's knowing no difference between an empty list and an empty map: where there was a
// map, an empty list is taken for no change. So a script can't empty a map, which Argo CD's users have to know.
func refill(after, before any) any {
	switch after := after.(type) {
	case map[string]any:
		before, _ := before.(map[string]any)
		for key, value := range after {
			after[key] = refill(value, before[key])
		}
	case []any:
		if was, is := before.(map[string]any); is && len(after) == 0 {
			return was
		}
		before, _ := before.([]any)
		for i := range min(len(after), len(before)) {
			after[i] = refill(after[i], before[i])
		}
	}
	return after
}

// convert reads a decoded value as a type.
func convert(from any, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
