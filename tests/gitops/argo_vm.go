package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// A script that takes longer fails.
const scriptTimeout = time.Second

// runScript runs a script of a user as Argo CD does without useOpenLibs, and decodes the table that it returns.
func runScript(script string, object *unstructured.Unstructured) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	if err := openLibraries(state); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return nil, fmt.Errorf("the script returned a %s, not a table", returned.Type())
	}
	text, err := luajson.Encode(returned)
	if err != nil {
		return nil, err
	}
	var decoded any
	err = json.Unmarshal(text, &decoded)
	return decoded, err
}

// openLibraries opens base, table and package, and lets two functions of os be had by require: no string, no math.
func openLibraries(state *lua.LState) error {
	open := func(name string, library lua.LGFunction) error {
		call := lua.P{Fn: state.NewFunction(library), Protect: true}
		return state.CallByParam(call, lua.LString(name))
	}
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage},
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
		{lua.OsLibName, lua.OpenOs},
	} {
		if err := open(library.name, library.open); err != nil {
			return err
		}
	}
	os, opened := state.GetGlobal(lua.OsLibName).(*lua.LTable)
	if !opened {
		return fmt.Errorf("the library os didn't open")
	}
	state.SetGlobal(lua.OsLibName, lua.LNil)
	var names []lua.LValue
	os.ForEach(func(name, _ lua.LValue) { names = append(names, name) })
	for _, name := range names {
		if name != lua.LString("time") && name != lua.LString("date") {
			os.RawSet(name, lua.LNil)
		}
	}
	return nil
}

// luaValue turns a decoded object into what a script sees.
func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(luaValue(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, luaValue(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
